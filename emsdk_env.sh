#!/usr/bin/env bash
# Makes everything that wasmformer is built and tested with available, and puts it on PATH:
# emcc, wasi-cc, Binaryen's tools, Node >= 22, wasmtime (for Python), clang with sanitizers, cmake, ninja.
#
#     . ./emsdk_env.sh      sets up this bash shell       ./emsdk_env.sh      only installs what is missing
#
# What the machine already has is used, an emcc only after it proved itself (see emcc_passes). The rest is installed
# once: host packages with apt-get (as root, or through sudo), WebAssembly's compilers privately in a cache folder.
# Settings: WASMFORMER_CACHE (default ~/.cache/wasmformer), WASMFORMER_MIRROR (a Debian mirror; default: apt's own).
if [ -z "${BASH_VERSION:-}" ]; then
    echo 'emsdk_env.sh needs bash: start bash first, then ". ./emsdk_env.sh"' >&2
    return 1 2>/dev/null || exit 1
fi
if [ "${BASH_SOURCE[0]}" != "$0" ]; then # sourced: install in a process of its own, then take over its settings
    if bash "${BASH_SOURCE[0]}" --quiet; then
        . "${WASMFORMER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wasmformer}/env.sh"
        return 0
    fi
    return 1
fi

set -euo pipefail
NODE_VERSION=26.10.0 NPM_VERSION=11.19.1 WASMTIME_VERSION=50.0.1 SUITE=forky LAYOUT=1
CACHE=${WASMFORMER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wasmformer}
mkdir -p "$CACHE" && CACHE=$(cd "$CACHE" && pwd -P)
TOOLS=$CACHE/toolchain NODE_DIR=$CACHE/node-$NODE_VERSION PY_DIR=$CACHE/wasmtime-$WASMTIME_VERSION

say() { printf 'wasmformer: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
run_quietly() { # shows a command's output only when it fails
    "$@" >"$CACHE/last.log" 2>&1 || { tail -n 30 "$CACHE/last.log" >&2; return 1; }
}

# The host's own tools, as if this script had never set up the calling shell.
PATH=$(printf '%s' "$PATH" | tr ':' '\n' | grep -vF "$CACHE/" | paste -sd: -)
case ${EM_CONFIG:-} in "$CACHE"/*) unset EM_CONFIG ;; esac

# ---- what decides whether anything is to be done: the tools that a run found, by file, size and date ----
fingerprint() {
    local tool paths=("$0" "$CACHE/env.sh")
    for tool in emcc wasi-cc wasm-dis node npm python3 clang cmake ninja; do
        paths+=("$(command -v "$tool" || echo "no-$tool")")
    done
    paths+=(/usr/include/simde/wasm/simd128.h /usr/include/stb/stb_image.h "$TOOLS/complete" "$PY_DIR/bin/python" "$NODE_DIR/bin/node")
    printf '%s %s\n' "$LAYOUT" "${EM_CONFIG:-}"
    stat -L -c '%n %s %Y' -- "${paths[@]}" 2>&1 || true
}
if [ "$(fingerprint)" = "$(cat "$CACHE/found" 2>/dev/null)" ]; then
    [ "${1:-}" = --quiet ] || say "all there; for this shell: . ./emsdk_env.sh"
    exit 0
fi
exec 9>"$CACHE/lock"
if have flock; then flock 9; fi

# ---- host packages ----
clang_runtime() { # clang's sanitizer and fuzzer libraries
    have clang && clang -print-runtime-dir >/dev/null 2>&1 || return 1
    local f
    for f in asan fuzzer; do
        case $(clang -print-file-name="libclang_rt.$f-$(uname -m).a") in /*) ;; *)
            [ -e "$(clang -print-runtime-dir)/libclang_rt.$f.a" ] || return 1 ;;
        esac
    done
}
have_firefox() { have firefox-esr || have firefox; }
have_browser() { have chromium || have chromium-browser || have google-chrome; }
node_major() { "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }

host_packages() { # names what is missing here
    have python3 && python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3 python3-venv
    have clang || echo clang
    have cmake || echo cmake
    have ninja || echo ninja-build
    have npm || echo npm
    have git || echo git
    [ -e /usr/include/simde/wasm/simd128.h ] || echo libsimde-dev
    [ -e /usr/include/stb/stb_image.h ] || echo libstb-dev
    [ -e /usr/include/stdio.h ] || echo libc6-dev
    have_browser || echo chromium
    if ! clang_runtime; then
        local major
        major=$(have clang && clang -dumpversion || apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-//p')
        [ -z "$major" ] || echo "libclang-rt-${major%%.*}-dev"
    fi
}
install_host_packages() {
    local list root=()
    list=$(host_packages | xargs)
    [ -n "$list" ] || return 0
    have apt-get || die "please install these (Debian's names): $list"
    if [ "$(id -u)" != 0 ]; then
        have sudo && sudo -n true 2>/dev/null || die "please install what is missing, then start again: apt-get install $list"
        root=(sudo)
    fi
    say "installing $list"
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends)
    if ! run_quietly "${apt[@]}" install $list; then
        say 'reading the package lists first'
        run_quietly "${apt[@]}" update || die 'apt-get update failed'
        list=$(host_packages | xargs)
        run_quietly "${apt[@]}" install $list || die "apt-get install failed: $list"
    fi
    list=$(host_packages | xargs) # clang's run-time library can be named only now where no list was there before
    [ -z "$list" ] || run_quietly "${apt[@]}" install $list || die "apt-get install failed: $list"
}
install_firefox() { # only a test needs it, which says so; a system without such a package goes on
    have_firefox || ! have apt-get && return 0
    local root=()
    if [ "$(id -u)" != 0 ]; then
        have sudo && sudo -n true 2>/dev/null || return 0
        root=(sudo)
    fi
    say 'installing firefox-esr'
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends)
    "${apt[@]}" install firefox-esr >"$CACHE/firefox.log" 2>&1 || { "${apt[@]}" update && "${apt[@]}" install firefox-esr; } >"$CACHE/firefox.log" 2>&1 ||
        say "Firefox could not be installed (see $CACHE/firefox.log): tests/browser/firefox.mjs will say so"
}

# ---- Node ----
NODE=
find_node() {
    if have node && [ "$(node_major node)" -ge 22 ]; then
        NODE=$(command -v node)
        return
    fi
    if [ ! -x "$NODE_DIR/bin/node" ]; then
        local arch
        case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) die "no Node >= 22 here, and none to install for $(uname -m)" ;; esac
        say "installing Node $NODE_VERSION"
        rm -rf "$NODE_DIR"
        mkdir -p "$NODE_DIR/bin"
        run_quietly npm install --prefix "$NODE_DIR" --ignore-scripts --no-audit --no-fund \
            "node-linux-$arch@$NODE_VERSION" "npm@$NPM_VERSION" || die "Node $NODE_VERSION could not be had from npm"
        ln -s ../node_modules/npm/bin/npm-cli.js "$NODE_DIR/bin/npm"
        ln -s ../node_modules/npm/bin/npx-cli.js "$NODE_DIR/bin/npx"
        ln -s "../node_modules/node-linux-$arch/bin/node" "$NODE_DIR/bin/node"
    fi
    NODE=$NODE_DIR/bin/node
}

# ---- the probe: does this emcc get a relaxed dot product of constants through -O3, and is the answer right? ----
# (Binaryen 120 aborts on it, and an old Node computes 120 where 61 is right.)
emcc_passes() {
    local d ok=1
    d=$(mktemp -d)
    cat >"$d/probe.c" <<'C'
#include <wasm_simd128.h>
__attribute__((export_name("probe"))) int probe(void) {
    v128_t sum = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_i8x16_splat(5), wasm_i8x16_splat(3), wasm_i32x4_splat(1));
    return wasm_i32x4_extract_lane(sum, 2);
}
C
    emcc -O3 -msimd128 -mrelaxed-simd "$d/probe.c" -sSTANDALONE_WASM --no-entry -sDEFAULT_TO_CXX=0 \
        -o "$d/probe.wasm" >"$d/log" 2>&1 && "$NODE" -e '
        const module = new WebAssembly.Module(require("fs").readFileSync(process.argv[1]));
        const imports = {};
        for (const i of WebAssembly.Module.imports(module)) (imports[i.module] ??= {})[i.name] = () => 0;
        process.exit(new WebAssembly.Instance(module, imports).exports.probe() === 61 ? 0 : 1);
        ' "$d/probe.wasm" >>"$d/log" 2>&1 || ok=0
    if [ $ok = 0 ]; then cp "$d/log" "$CACHE/probe.log"; fi
    rm -rf "$d"
    [ $ok = 1 ]
}

# ---- a private toolchain from Debian's packages ----
# apt resolves the packages against a package status of our own making, in which the few things that the host gives
# (python, node) or that only native builds need (libc headers, binutils) stand as present and held. The packages are
# then unpacked, not installed, and their programs are pointed at their own C library, so any host will do.
debian_mirror() { # the first address of apt's configuration that serves Debian itself; needs no downloaded lists
    apt-get update --print-uris 2>/dev/null | sed -n "s|^'\(.*\)/dists/[^']*/InRelease'.*|\1|p" | grep -E '/debian(/|$)' | head -n 1
}
install_toolchain() {
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror llvm t
    for t in apt-get apt-cache dpkg dpkg-deb; do have $t || die "no usable emcc here, and no $t to get one from Debian: put an emcc (6.0 or newer) on PATH"; done
    mirror=${WASMFORMER_MIRROR:-$(debian_mirror || true)}
    [ -n "$mirror" ] || die "this machine's apt knows no Debian mirror: set WASMFORMER_MIRROR to one"
    [ -r $keys ] || die "Debian's keyring is not here: apt-get install debian-archive-keyring"
    rm -rf "$TOOLS"
    mkdir -p "$TOOLS"/{bin,root} "$TOOLS"/apt/{lists/partial,cache/archives/partial,deb}
    local apt=$TOOLS/apt root=$TOOLS/root
    echo "deb [arch=$(dpkg --print-architecture) signed-by=$keys] $mirror $SUITE main" >"$apt/sources.list"
    : >"$apt/status"
    local opts=(-qq -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status"
        -o Dir::Cache="$apt/cache" -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null
        -o Dir::Etc::PreferencesParts=/dev/null -o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=0
        -o Acquire::Languages=none -o Acquire::Retries=3)
    say "fetching the WebAssembly toolchain from Debian $SUITE (about 100 MB, once)"
    if ! run_quietly apt-get "${opts[@]}" update; then
        grep -qi -e 'expired' -e 'not valid anymore' "$CACHE/last.log" || die "the package lists of Debian $SUITE could not be had"
        say "this mirror's lists are out of date; going on (signatures are checked as always)"
        opts+=(-o Acquire::Check-Valid-Until=false)
        run_quietly apt-get "${opts[@]}" update || die "the package lists of Debian $SUITE could not be had"
    fi
    llvm=$(apt-cache "${opts[@]}" depends emscripten | sed -n 's/.*Depends: clang-//p')
    [ -n "$llvm" ] || die "Debian $SUITE offers no emscripten"
    local given
    given="python3 nodejs perl ccache binutils libc6-dev llvm-$llvm-runtime llvm-$llvm-linker-tools libclang1-$llvm
        $(apt-cache "${opts[@]}" depends "clang-$llvm" | sed -n 's/.*Depends: \(lib.*-[0-9]*-dev\)$/\1/p' | grep -v libclang)"
    apt-cache "${opts[@]}" show --no-all-versions $given | awk '
        /^(Package|Version|Architecture|Multi-Arch|Provides):/
        /^Package:/ { print "Status: hold ok installed\nMaintainer: nobody\nDescription: given by the host" }
        /^$/' >"$apt/given"
    mv "$apt/given" "$apt/status"
    apt-get "${opts[@]}" -s install emscripten "lld-$llvm" wasi-libc "libclang-rt-$llvm-dev-wasm32" patchelf |
        awk '$1 == "Inst" { print $2 }' >"$apt/names"
    (cd "$apt/deb" && run_quietly xargs -a "$apt/names" apt-get "${opts[@]}" download) || die 'downloading the packages failed'
    (cd "$apt/deb" && sha256sum -- *.deb) >"$TOOLS/MANIFEST"
    say "unpacking $(wc -l <"$TOOLS/MANIFEST") packages"
    for t in "$apt"/deb/*.deb; do
        dpkg-deb --fsys-tarfile "$t" | tar -x -C "$root" --no-same-owner --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale'
    done
    mv "$root/usr/share/nodejs" "$root/usr/share/node_modules" # where any Node, not only Debian's, looks for acorn

    # Programs get the private loader as interpreter and the private libraries as search path. Two of the libraries
    # bring a search path of their own, which would hide the program's, so those are set too. patchelf can't write to
    # itself and needs the private loader to start: a copy of it does the work.
    local bin=$root/usr/lib/llvm-$llvm/bin lib loader f
    lib=$(dirname "$(find "$root/usr/lib" -name libc.so.6 -print -quit)")
    loader=$(find "$lib" -maxdepth 1 -name 'ld-linux*.so.*' -print -quit)
    cp "$root/usr/bin/patchelf" "$apt/patchelf"
    patch_elf() { "$loader" --library-path "$lib" "$apt/patchelf" "$@"; }
    is_elf() { [ "$(head -c 4 "$1" | tr -d '\0')" = $'\x7fELF' ]; }
    local path=$lib:$root/usr/lib/llvm-$llvm/lib
    find "$bin" "$root/usr/bin" -type f | while read -r f; do
        ! is_elf "$f" || patch_elf --set-interpreter "$loader" --force-rpath --set-rpath "$path" "$f"
    done
    find "$lib" "$bin/../lib" -type f -name '*.so*' | while read -r f; do
        ! is_elf "$f" || [ -z "$(patch_elf --print-rpath "$f" 2>/dev/null)" ] || patch_elf --force-rpath --set-rpath "$path" "$f"
    done

    # WASI: clang looks for its run-time library under the target's full name, and for the linker under Debian's name.
    f=$(echo "$bin"/../lib/clang/*/lib)
    mkdir -p "$f/wasm32-unknown-wasip1"
    ln -s ../wasi/libclang_rt.builtins-wasm32.a "$f/wasm32-unknown-wasip1/libclang_rt.builtins.a"
    ln -sfn wasm-ld "$bin/wasm-ld-$llvm"
    printf '#!/bin/sh\nexec "%s/clang" --target=wasm32-wasip1 --sysroot="%s/usr" "$@"\n' "$bin" "$root" >"$TOOLS/bin/wasi-cc"
    chmod +x "$TOOLS/bin/wasi-cc"
    for t in wasm-opt wasm-dis wasm-as wasm-merge wasm-metadce; do ln -s "$root/usr/bin/$t" "$TOOLS/bin/$t"; done
    for t in wasm-ld llvm-ar llvm-ranlib llvm-nm llvm-objdump; do ln -s "$bin/$t" "$TOOLS/bin/$t"; done
    cat >"$TOOLS/em.cfg" <<CFG
LLVM_ROOT = '$bin'
BINARYEN_ROOT = '$root/usr'
NODE_JS = '$NODE'
LLVM_ADD_VERSION = ''
CLANG_ADD_VERSION = ''
CACHE = '$TOOLS/em-cache'
CFG
    rm -rf "$apt"
}
warm_up() { # Emscripten builds its C library at the first link: once for one thread, once for shared memory
    local d link='-sSTANDALONE_WASM --no-entry -sDEFAULT_TO_CXX=0 -sALLOW_MEMORY_GROWTH -sFILESYSTEM=0 -sMALLOC=emmalloc -sIMPORTED_MEMORY=1'
    d=$(mktemp -d)
    printf '#include <stdlib.h>\n__attribute__((export_name("f"))) void *f(int n) { return malloc(n); }\n' >"$d/a.c"
    say "building Emscripten's C library (about 2 minutes, once)"
    run_quietly emcc -O3 "$d/a.c" $link -o "$d/a.wasm" &&
        run_quietly emcc -O3 -matomics -mbulk-memory "$d/a.c" $link -sSHARED_MEMORY=1 -o "$d/b.wasm" || die 'emcc cannot link'
    rm -rf "$d"
}

install_host_packages
install_firefox
find_node
ADD=
[ "$NODE" != "$NODE_DIR/bin/node" ] || ADD=$NODE_DIR/bin
PATH=${ADD:+$ADD:}$PATH
AFTER= CONFIG=${EM_CONFIG:-}
if have emcc && emcc_passes; then
    if ! have wasi-cc || ! have wasm-dis; then # keep this emcc, add what it lacks behind it
        [ -e "$TOOLS/complete" ] || { install_toolchain; : >"$TOOLS/complete"; }
        AFTER=$TOOLS/bin
    fi
else
    if have emcc; then say "the emcc on PATH fails the probe (see $CACHE/probe.log): installing another one beside it"; fi
    ADD=$TOOLS/root/usr/share/emscripten:$TOOLS/bin${ADD:+:$ADD} CONFIG=$TOOLS/em.cfg
    PATH=$TOOLS/root/usr/share/emscripten:$TOOLS/bin:$PATH
    export EM_CONFIG=$CONFIG
    [ -e "$TOOLS/complete" ] || install_toolchain
    emcc_passes || die "the new emcc fails its probe, see $CACHE/probe.log"
    [ -e "$TOOLS/complete" ] || { warm_up; : >"$TOOLS/complete"; }
fi
if [ ! -x "$PY_DIR/bin/python" ] || ! "$PY_DIR/bin/python" -c 'import wasmtime' 2>/dev/null; then
    say "installing wasmtime $WASMTIME_VERSION"
    rm -rf "$PY_DIR"
    run_quietly python3 -m venv "$PY_DIR" && run_quietly "$PY_DIR/bin/python" -m pip install --quiet "wasmtime==$WASMTIME_VERSION" ||
        die "wasmtime $WASMTIME_VERSION could not be had from PyPI"
fi

cat >"$CACHE/env.sh" <<ENV
# Written by wasmformer's emsdk_env.sh; sourced by it.
export WASMFORMER_PYTHON="$PY_DIR/bin/python"
${CONFIG:+export EM_CONFIG="$CONFIG"}
case ":\$PATH:" in *":${ADD:-$AFTER}:"*) ;; *) export PATH="${ADD:+$ADD:}\$PATH${AFTER:+:$AFTER}" ;; esac
ENV
PATH=$(printf '%s' "$PATH" | tr ':' '\n' | grep -vF "$CACHE/" | paste -sd: -)
case $CONFIG in "$CACHE"/*) unset EM_CONFIG ;; esac
fingerprint >"$CACHE/found"
say "ready: emcc $(. "$CACHE/env.sh"; emcc -dumpversion), node $("$NODE" --version), wasmtime $WASMTIME_VERSION"
