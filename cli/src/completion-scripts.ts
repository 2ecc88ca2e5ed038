/**
 * What each shell needs to ask us: the candidates come from `virtbus __complete`, so the scripts hold no list that
 * could go stale. A line is a candidate, a tab, and what it means; `:files` asks the shell for file names.
 */
export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

const bash = `# bash completion for virtbus
_virtbus() {
  local current="\${COMP_WORDS[COMP_CWORD]}" line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == ':files' ]]; then
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
    fi
    COMPREPLY+=("$(printf '%q' "\${line%%$'\\t'*}")")
  done < <("\${COMP_WORDS[0]}" __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _virtbus virtbus
`;

const zsh = `#compdef virtbus
# zsh completion for virtbus
_virtbus() {
  local line
  local -a candidates
  while IFS= read -r line; do
    if [[ $line == ':files' ]]; then
      _files
      return
    fi
    line=\${line//:/\\\\:}
    candidates+=("\${line/$'\\t'/:}")
  done < <("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe 'virtbus' candidates
}
if [[ $funcstack[1] == _virtbus ]]; then
  _virtbus "$@"
else
  compdef _virtbus virtbus
fi
`;

const fish = `# fish completion for virtbus
function __virtbus_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] __complete $words[2..-1] 2>/dev/null)
    if test "$found[1]" = ':files'
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c virtbus -f -a '(__virtbus_complete)'
`;

const scripts: Record<Shell, string> = { bash, zsh, fish };

export const completionScript = (shell: Shell): string => scripts[shell];
