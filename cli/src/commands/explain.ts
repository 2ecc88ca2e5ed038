/** What a host would make of a definition, and why. */
import type { explainDomain, Response } from '@virtbus/shared';
import { readText } from '../definition';
import type { Paint } from '../output';
import { safe } from '../print/table';
import { argument, command, example, value } from '../spec';

type Line = Response<typeof explainDomain>['lines'][number];

export const domxmlExplain = command({
  name: 'domxml-explain',
  group: 'domain',
  summary: 'Show what a host fills into a definition, line by line, and why',
  about: 'Nothing is defined. Each line names an attribute or an element, its value, and the rule that gave it.',
  args: { file: argument('file with XML; - is standard input', 'file') },
  options: {
    host: value('HOST', 'which host; may be left out when there is but one', 'host'),
    driver: value('DRIVER', 'which driver: qemu, …'),
  },
  examples: [
    example('domxml-explain web1.xml', 'on the only host'),
    example('domxml-explain web1.xml --host h2 --json | jq .lines', 'on another, for a program'),
  ],
  async run({ args, options: { host, driver }, session, out }) {
    const xml = await readText(args.file);
    const answer = await session.call(
      'explainDomain',
      { xml, ...(driver ? { driver } : {}) },
      await session.host(host),
    );
    for (const warning of answer.warnings) out.note(`warning: ${warning}`);
    out.show(answer, () => answer.lines.map((line) => printLine(line, out.paint)).join(''));
  },
});

/** A change over its reason: `+` came, `-` went, `~` is another now. */
export function printLine({ path, value: now, was, reason }: Line, paint: Paint): string {
  const sign = was === undefined ? '+' : now === undefined ? '-' : '~';
  const what = now === undefined ? was! : was === undefined ? now : `${was} → ${now}`;
  return `${sign} ${path} = ${safe(what)}\n    ${paint('dim', safe(reason))}\n`;
}
