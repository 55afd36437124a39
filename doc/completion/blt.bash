# bash completion for blt and bltfs                    -*- shell-script -*-
#
# "blt complete" and "bltfs --complete" say what can come next; see blt(1).

# Splits the command line up to the cursor into words, as they will be without
# their quotes.  COMP_WORDS is split at ":" and "=" too, which keys may hold;
# what belongs together stands together in COMP_LINE.
_blt_words()
{
	local rest=${COMP_LINE:0:COMP_POINT} piece gap i

	words=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		gap=${rest%%[![:space:]]*}
		rest=${rest#"$gap"}
		piece=${COMP_WORDS[i]}
		# the last one reaches to the cursor, no further
		((i < COMP_CWORD && ${#piece} <= ${#rest})) || piece=$rest
		if ((i == 0)) || [[ $gap ]]; then
			words+=("$piece")
		else
			words[-1]+=$piece
		fi
		rest=${rest:${#piece}}
	done
	last_piece=$piece
	[[ $piece == *[!:=]* ]] || last_piece=
	for i in "${!words[@]}"; do
		piece=${words[i]//[\"\']/}
		piece=${piece//\\/}
		[[ $piece != \~/* ]] || piece=$HOME/${piece:2}
		words[i]=$piece
	done
}

_blt()
{
	local words last_piece lines line word whole ask=complete i

	_blt_words
	[[ ${words[0]##*/} != bltfs ]] || ask=--complete
	mapfile -t lines < <("${words[0]}" "$ask" -- "${words[@]:1}" \
		2>/dev/null)
	COMPREPLY=()
	if [[ ${lines[0]-} == :files ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "${words[-1]}")
	fi
	# what readline replaces is the last piece alone
	whole=${words[-1]}
	last_piece=${last_piece//[\"\'\\]/}
	for line in "${lines[@]:1}"; do
		word=${line%%$'\t'*}
		# a directory of keys, or options of a mount: more follows
		[[ $word != *[/=] && ${words[-2]} != -o ]] || compopt -o nospace 2>/dev/null
		word=${word:${#whole}-${#last_piece}}
		printf -v word %q "$word"
		COMPREPLY+=("$word")
	done
}

complete -F _blt blt bltfs
