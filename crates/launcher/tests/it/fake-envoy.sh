#!/bin/sh
# Stands for Envoy in tests: says the version it is told to, records its arguments in $FAKE_ENVOY/arguments, says that it runs,
# and does so until SIGTERM (exit 0) or until nobody holds the pipe $FAKE_ENVOY/alive any more (exit 7, as if it had crashed).
if [ "$1" = --version ]; then
    echo
    echo "$0  version: 9e5580933739/${FAKE_ENVOY_VERSION:-1.40.0}/Clean/RELEASE/BoringSSL"
    exit 0
fi
for argument in "$@"; do
    echo "$argument"
done > "$FAKE_ENVOY/arguments"
# Opened before it says that it runs: whoever lets go of the pipe after that is heard.
exec 3< "$FAKE_ENVOY/alive"
cat <&3 > /dev/null 2>&1 &
reader=$!
if [ -n "$FAKE_ENVOY_DEAF" ]; then
    trap '' TERM
else
    trap 'kill $reader; echo > "$FAKE_ENVOY/terminated"; exit 0' TERM
fi
echo "the fake Envoy runs" >&2
wait $reader
exit 7
