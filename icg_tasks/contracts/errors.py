"""Exception types every stage may raise, and the exit code each one becomes on the command line."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_INTERRUPTED = 75


class IcgError(Exception):
    """A failure whose message says what was found, where, and what to do. Exit code 1 (may be retried)."""

    exit_code = EXIT_FAILED


class GateRefused(IcgError):
    """A gate looked at the data or the model and said no; trying again changes nothing. Exit code 3 (not retried)."""

    exit_code = EXIT_REFUSED


class Interrupted(IcgError):
    """The stage was asked to stop, saved what it had, and the next try goes on from there. Exit code 75."""

    exit_code = EXIT_INTERRUPTED


class SettingsError(IcgError):
    """A setting does not exist or has a value that cannot work. Exit code 2."""

    exit_code = EXIT_USAGE


class DataMissing(IcgError):
    """A data set, partition or model that this stage reads is not there."""


class DataCorrupt(IcgError):
    """Bytes were read, but they are not what the manifest or the schema promised."""
