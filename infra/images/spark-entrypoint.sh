#!/usr/bin/env bash
# What a container of Spark on Kubernetes starts: a driver, an executor, or any other command as it is.
# Spark's submission sets the SPARK_ variables named here (its documentation: Running on Kubernetes).
set -euo pipefail
class_path="${SPARK_HOME}/jars/*:${SPARK_EXTRA_CLASSPATH:-}"
case "${1:-}" in
  driver)
    shift
    exec tini -s -- "${SPARK_HOME}/bin/spark-submit" --conf "spark.driver.bindAddress=${SPARK_DRIVER_BIND_ADDRESS}" \
      --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=${SPARK_DRIVER_BIND_ADDRESS}" --deploy-mode client "$@"
    ;;
  executor)
    options=()
    while IFS= read -r option; do options+=("$option"); done < <(env | sed -nE 's/^SPARK_JAVA_OPT_[0-9]+=(.*)/\1/p')
    exec tini -s -- "${JAVA_HOME}/bin/java" "${options[@]}" -Xms"${SPARK_EXECUTOR_MEMORY}" -Xmx"${SPARK_EXECUTOR_MEMORY}" \
      -cp "${class_path}" org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "${SPARK_DRIVER_URL}" --executor-id "${SPARK_EXECUTOR_ID}" --cores "${SPARK_EXECUTOR_CORES}" \
      --app-id "${SPARK_APPLICATION_ID}" --hostname "${SPARK_EXECUTOR_POD_IP}" \
      --resourceProfileId "${SPARK_RESOURCE_PROFILE_ID}" --podName "${SPARK_EXECUTOR_POD_NAME}"
    ;;
  *)
    exec tini -s -- "$@"
    ;;
esac
