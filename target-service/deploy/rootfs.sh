#!/bin/sh
# Assembles the whole root file system of a container around one program: the program, the libraries it is linked with,
# a user without rights and an empty /tmp. No shell, no package manager, nothing else. The Dockerfiles run it in their
# last build stage, and a test runs it without Docker.
#
#   rootfs.sh PROGRAM FOLDER [FILE...]    FOLDER must not exist; each FILE is copied to its own path within
set -eu
program=$1
root=$2
shift 2
if [ -e "$root" ]; then
  echo "rootfs.sh: $root is there already; give a folder that is not" >&2
  exit 2
fi
umask 022
mkdir -p "$root/etc"
cp "$program" "$root/$(basename "$program")"
# Lines are `name => /path (address)`, and `/path (address)` for the loader. Links are followed: files are copied.
ldd "$program" | sed -nE 's,^.*[[:space:]](/[^ ]+) \(0x[0-9a-f]+\)$,\1,p' >"$root.libraries"
while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done <"$root.libraries"
rm "$root.libraries"
for file in "$@"; do
  mkdir -p "$root$(dirname "$file")"
  cp -L "$file" "$root$file"
done
echo 'nonroot:x:65532:65532::/tmp:/nonexistent' >"$root/etc/passwd"
echo 'nonroot:x:65532:' >"$root/etc/group"
mkdir "$root/tmp"
chmod 1777 "$root/tmp"
