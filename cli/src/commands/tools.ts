/** `help`, `version`, and `completion`: a script for the user's shell. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { completionScript, shells } from '../completion-scripts';
import { argument, command, example, optional, UsageError } from '../spec';

export const help = command({
  name: 'help',
  group: 'tool',
  summary: 'Show all commands, or one with its options and examples',
  args: { command: optional('which one', 'command') },
  options: {},
  examples: [example('help attach-disk', 'all about one command')],
  // `run` turns the words into `--help` before they are parsed; this is what `virtbus -- help` comes to.
  async run() {
    throw new UsageError("write 'virtbus help [command]'");
  },
});

export const completion = command({
  name: 'completion',
  group: 'tool',
  summary: 'Print a completion script for a shell',
  about: 'Completes commands, options, files, and the names of domains and hosts as the bus tells them.',
  args: { shell: argument('bash, zsh or fish', shells) },
  options: {},
  examples: [
    example('completion bash > ~/.local/share/bash-completion/completions/virtbus', 'for bash'),
    example('completion zsh > ~/.zfunc/_virtbus', 'for zsh, with ~/.zfunc in fpath'),
    example('completion fish > ~/.config/fish/completions/virtbus.fish', 'for fish'),
  ],
  async run({ args, out }) {
    const shell = shells.find((each) => each === args.shell);
    if (!shell) throw new UsageError(`<shell>: '${args.shell}' is none of ${shells.join(', ')}`);
    out.write(completionScript(shell));
  },
});

export const version = command({
  name: 'version',
  group: 'tool',
  summary: 'Print the version',
  args: {},
  options: {},
  examples: [example('version', 'of this command')],
  async run({ out }) {
    const path = join(__dirname, '..', '..', 'package.json');
    const { version: number } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
    out.show({ version: number }, () => number);
  },
});
