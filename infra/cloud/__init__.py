"""Cloud resources as code: who may touch what in the bucket, and the CloudFormation template made from it."""
