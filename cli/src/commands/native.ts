/** Between domain documents and what hypervisors' own users write. */
import { access } from 'node:fs/promises';
import { readText } from '../definition';
import { fail } from '../failure';
import type { Session } from '../session';
import { argument, command, example, optional, UsageError, value } from '../spec';

const format = argument('qemu-argv, lxc-tools, …; host-info shows which a host knows', ['qemu-argv', 'lxc-tools']);
const host = value('HOST', 'whose drivers do it; may be left out when there is but one', 'host');

export const domxmlToNative = command({
  name: 'domxml-to-native',
  group: 'domain',
  summary: "Print a document in its hypervisor's own words: for QEMU, the command line it would be started with",
  about:
    'Nothing is started. What a start chooses (ports, taps, descriptors) is the first of its kind here, and the line names folders that a start would make.',
  args: { format, xml: optional('file with XML (- is standard input), or the name or uuid of a domain', 'file') },
  options: { domain: value('DOMAIN', 'a domain rather than a file', 'domain'), host },
  examples: [
    example('domxml-to-native qemu-argv web1.xml', 'of a file'),
    example('domxml-to-native qemu-argv --domain web1', 'of a domain, as its host would start it'),
  ],
  async run({ args, options, session, out }) {
    if ((args.xml === undefined) === (options.domain === undefined))
      throw new UsageError('name a file or a domain: domxml-to-native <format> <file>, or --domain <domain>');
    const domain = options.domain ?? ((await isFile(args.xml!)) ? undefined : args.xml!);
    const { xml, on } =
      domain === undefined ? await ofFile(session, args.xml!, options.host) : await ofDomain(session, domain);
    const answer = await session.call('xmlToNative', { format: args.format, xml }, on);
    for (const warning of answer.warnings) out.note(`warning: ${warning}`);
    out.show(answer, () => answer.config);
  },
});

/** What has the look of a path is one, also when it is not there: then that is what the user hears. */
async function isFile(word: string): Promise<boolean> {
  if (word === '-' || word.includes('/') || word.endsWith('.xml')) return true;
  return access(word).then(
    () => true,
    () => false,
  );
}

interface Source {
  xml: string;
  on: string;
}

async function ofFile(session: Session, path: string, named: string | undefined): Promise<Source> {
  const xml = await readText(path);
  return { xml, on: await session.host(named) };
}

async function ofDomain(session: Session, target: string): Promise<Source> {
  const { domain } = await session.call('getDomain', {}, target);
  const { xml } = await session.call('getDomainXml', { inactive: domain.persistent }, domain.uuid);
  if (xml === undefined) throw fail('INTERNAL_ERROR', { detail: `the host of '${domain.name}' gave no document` });
  return { xml, on: domain.host };
}

export const domxmlFromNative = command({
  name: 'domxml-from-native',
  group: 'domain',
  summary: "Turn a hypervisor's own configuration, such as a QEMU command line, into a domain document",
  about:
    'Nothing is defined. What the document has no word for goes to QEMU beside it, in <qemu:commandline>, with a warning each.',
  args: { format, config: argument('file with it; - is standard input', 'file') },
  options: { host },
  examples: [
    example('domxml-from-native qemu-argv start.sh > web1.xml', 'a command line as one would type it'),
    example('domxml-from-native qemu-argv - < start.sh | virtbus define -', 'and define it'),
  ],
  async run({ args, options, session, out }) {
    const config = await readText(args.config);
    const answer = await session.call('nativeToXml', { format: args.format, config }, await session.host(options.host));
    for (const warning of answer.warnings) out.note(`warning: ${warning}`);
    out.show(answer, () => answer.xml);
  },
});
