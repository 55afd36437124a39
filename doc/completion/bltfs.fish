# fish completion for bltfs: "bltfs --complete" says what can come next; see
# bltfs(8).

function __bltfs_complete
    set -l words (commandline -opc)
    set -l bltfs $words[1]
    set -e words[1]
    set -l lines (command $bltfs --complete -- $words (commandline -ct) 2>/dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path (commandline -ct)
    end
    set -e lines[1]
    printf '%s\n' $lines
end

complete -c bltfs -f -a '(__bltfs_complete)'
