#!/bin/sh
# A Vulkan driver in software (Mesa's lavapipe), for checking what `--device webgpu` computes on machines without a graphics card.
#
#   eval "$(scripts/software-vulkan.sh)"            into ~/.cache/sextant/vulkan
#   eval "$(scripts/software-vulkan.sh FOLDER)"
#
# Downloads Debian's packages of the driver and the Vulkan loader with apt, which checks their signatures, and unpacks them into the folder. Nothing is
# installed, and root is not needed. What is printed on standard output sets the environment; the rest goes to standard error. A second call downloads nothing.
# Debian 12's own Mesa (22.3) lacks what WebGPU needs, so there the packages are those of bookworm-backports.
set -eu

folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/sextant/vulkan}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

find_driver() {
  find "$folder/root/usr/share/vulkan/icd.d" -name 'lvp_icd*.json' 2>/dev/null | head -n 1
}

if [ -z "$(find_driver)" ]; then
  . /etc/os-release
  if [ "${ID:-}" != debian ]; then
    echo "software-vulkan.sh: this is ${ID:-not Debian}; install libvulkan1 and mesa-vulkan-drivers (23.3 or newer) with its own package manager" >&2
    exit 1
  fi
  release=$VERSION_CODENAME
  from=$release
  if [ "$release" = bookworm ]; then from=bookworm-backports; fi

  # The mirror that this machine takes its release from.
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | awk -v release="$release" '$2 == release && $3 == "main" { print $1; exit }')
  if [ -z "$mirror" ]; then
    echo "software-vulkan.sh: apt has no source for $release main; see /etc/apt/sources.list.d" >&2
    exit 1
  fi

  apt=$folder/apt
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  : >"$apt/sources.list"
  for suite in "$release" "$release-updates" "$release-backports"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >>"$apt/sources.list"
  done
  get() {
    apt-get -qq -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" \
      -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@" >&2
  }
  echo "software-vulkan.sh: downloading Mesa of $from into $folder" >&2
  get update
  get -t "$from" --download-only --reinstall --yes --no-install-recommends install mesa-vulkan-drivers libvulkan1
  for package in "$apt"/archives/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
fi

driver=$(find_driver)
libraries=$folder/root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
if [ -z "$driver" ] || [ ! -e "$libraries/libvulkan.so.1" ]; then
  echo "software-vulkan.sh: the packages hold no lavapipe or no Vulkan loader; remove $folder and try again" >&2
  exit 1
fi

echo "export LD_LIBRARY_PATH='$libraries'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
echo "export VK_DRIVER_FILES='$driver'"
echo "export VK_ICD_FILENAMES='$driver'"
