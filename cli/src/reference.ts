/**
 * Writes docs/cli.md from the declared commands: `node cli/dist/reference.js`. A test fails when the page is stale.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commands } from './commands';
import { exitCodes } from './failure';
import { argumentsOf, flagsOf, globalOptions, kebab, optionsOf } from './program';
import { groups, type CommandSpec, type Group } from './spec';

const intro = `# The virtbus command

<!-- Made by \`node cli/dist/reference.js\` from the declared commands in cli/src/commands; edit those. -->

\`virtbus\` gives virsh's verbs to a fleet: it publishes commands to the bus and prints what comes back. A domain is
named by its name or its uuid; as in virsh, an argument may also be written by name (\`--domain web1\`).

It finds the bus by \`--context\` or \`VIRTBUS_CONTEXT\` (a file with credentials as \`npm start\` writes them), by \`--url\`
or \`VIRTBUS_NATS_URL\` with the credentials of \`VIRTBUS_NATS_*\`, or else by the best credentials you may read in the
state folder (\`credentials/admin.json\`, then operator, then reader). \`VIRTBUS_STATE_DIR\` says where that is.

Answers go to standard output, everything else to standard error. Colours are for terminals alone, and \`NO_COLOR\`
turns them off. With \`--json\` an answer is one JSON document (\`events\`: a document a line) and an error is one too, on
standard error; \`exec\`, \`help\` and \`completion\` print plain text all the same. \`VIRTBUS_DEBUG=1\` adds the whole story of a failure.
`;

export function referencePage(): string {
  const parts = [intro, exitCodeSection(), globalSection()];
  for (const group of Object.keys(groups) as Group[]) {
    const members = commands.filter((spec) => spec.group === group);
    parts.push(`## ${groups[group]}\n`, ...members.map(commandSection));
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

function exitCodeSection(): string {
  const rows = Object.values(exitCodes).map(({ code, says }) => `| ${code} | ${says} |`);
  return `## Exit codes\n\n| code | means |\n| --- | --- |\n${rows.join('\n')}\n`;
}

function globalSection(): string {
  const lines = globalOptions.map(({ flags, doc }) => `- \`${flags}\`: ${doc}`);
  return `## Options of every command\n\n${lines.join('\n')}\n`;
}

function commandSection(spec: CommandSpec): string {
  const usage = `virtbus ${spec.name} [options] ${argumentsOf(spec)}`.trimEnd();
  const args = Object.entries(spec.args).map(([key, { doc }]) => `- \`${kebab(key)}\`: ${doc}`);
  const options = Object.entries(optionsOf(spec)).map(([key, option]) => {
    const opposite = option.negatable ? `, \`--no-${kebab(key)}\`` : '';
    return `- \`${flagsOf(key, option)}\`${opposite}: ${option.doc}`;
  });
  const examples = spec.examples.map(({ line, says }) => `# ${says}\nvirtbus ${line}`);
  return [
    `### ${spec.name}\n`,
    `${sentence(spec.summary)}${spec.about ? ` ${spec.about}` : ''}\n`,
    ...(spec.aliases?.length ? [`Also: ${spec.aliases.map((each) => `\`${each}\``).join(', ')}.\n`] : []),
    `\`\`\`sh\n${[usage, ...examples].join('\n\n')}\n\`\`\`\n`,
    ...(args.length + options.length > 0 ? [`${[...args, ...options].join('\n')}\n`] : []),
  ].join('\n');
}

const sentence = (text: string): string => (/[.?!]$/.test(text) ? text : `${text}.`);

if (require.main === module) writeFileSync(join(__dirname, '..', '..', 'docs', 'cli.md'), referencePage());
