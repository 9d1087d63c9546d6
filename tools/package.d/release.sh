# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# For tools/package and tools/image: the Debian releases, and where their packages come from.
releases='bookworm trixie'

host_release() (. /etc/os-release && echo "${VERSION_CODENAME:-}")

is_release() { [[ $1 =~ ^[a-z]+$ && " $releases " == *" $1 "* ]]; }

# Lines of a sources.list of a release: this machine's own sources, with the other name.
release_sources() {
    local host uri suite component
    host=$(host_release)
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
        while read -r uri suite component; do
            [[ $component != main || ! $suite =~ ^$host(-updates|-security)?$ ]] || echo "deb $uri $1${suite#"$host"} main"
        done
}

# Options for mmdebstrap: settings of this machine's apt that its mirrors may need.
apt_settings() { apt-config dump | sed -nE 's/^(Acquire::(Check-|https?::|Retries|Force).*);$/--aptopt=\1/p'; }
