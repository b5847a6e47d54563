#!/bin/sh
# Put the files below files/ at their places on the machine.
set -eu
cd "$(dirname "$0")/files"

# Git keeps only the executable bit; the modes that matter beyond it stand here.
mode_of() {
    case "$1" in
    ./etc/sudoers.d/*) echo 440 ;;
    *) if [ -x "$1" ]; then echo 755; else echo 644; fi ;;
    esac
}

find . -type f | sort | while read -r file; do
    target="/${file#./}"
    mode=$(mode_of "$file")
    if cmp -s "$file" "$target" && [ "$(stat -c %a:%U:%G "$target")" = "$mode:root:root" ]; then
        continue
    fi
    echo "changed: $target"
    install -D -m "$mode" -o root -g root "$file" "$target"
done
