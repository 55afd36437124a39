# fish completion for blt: what can come next is for "blt complete" to say; see
# blt(1).

function __blt_complete
    set -l words (commandline -opc)
    set -l blt $words[1]
    set -e words[1]
    set -l lines (command $blt complete -- $words (commandline -ct) 2>/dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path (commandline -ct)
    end
    set -e lines[1]
    printf '%s\n' $lines
end

complete -c blt -f -a '(__blt_complete)'
