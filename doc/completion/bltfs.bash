# bash completion for bltfs                            -*- shell-script -*-

. "${BASH_SOURCE[0]%/*}/blt.bash"
