#!/usr/bin/env bash
# Installs the S3 clients that `make e2e` drives, from Debian's packages. Run as root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends ca-certificates curl make git awscli s3cmd rclone python3-boto3 restic s3fs fuse3 >/dev/null
