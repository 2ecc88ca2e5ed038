/** What people write on a domain: title, description, and elements of `<metadata>` in namespaces of their own. */
import { affectOf, affectOptions } from '../affect';
import { argument, command, domain, example, flag, many, UsageError, value } from '../spec';

export const desc = command({
  name: 'desc',
  group: 'domain',
  summary: "Show or set a domain's description or title",
  args: { domain, newDesc: many('the new text; an empty one removes it') },
  options: {
    title: flag('the title rather than the description'),
    ...affectOptions,
  },
  gives: 'setMetadata',
  queue: true,
  examples: [
    example('desc web1', 'show it'),
    example('desc web1 --title Front end', 'set the title'),
    example("desc web1 ''", 'remove the description'),
  ],
  async run({ args, options, session, out }) {
    const type = options.title ? 'title' : 'description';
    const affect = await affectOf(options, async () => false);
    if (args.newDesc.length === 0) {
      const found = await session.call('getMetadata', { type, affect }, args.domain).catch(absent);
      out.show({ [type]: found?.value ?? null }, () => found?.value ?? `No ${type} for domain: ${args.domain}`);
      return;
    }
    const text = args.newDesc.join(' ');
    const request = { type, value: text === '' ? null : text, affect } as const;
    await session.give('setMetadata', request, args.domain, () => `Domain ${type} updated successfully`);
  },
});

function absent(error: unknown): undefined {
  if ((error as { code?: string }).code === 'NO_DOMAIN_METADATA') return undefined;
  throw error;
}

export const metadata = command({
  name: 'metadata',
  group: 'domain',
  summary: "Show, set or remove an element of a domain's <metadata>",
  args: { domain, uri: argument('namespace of the element') },
  options: {
    key: value('PREFIX', 'prefix of the namespace, needed to set it'),
    set: value('XML', 'the element to set'),
    remove: flag('remove it'),
    ...affectOptions,
  },
  gives: 'setMetadata',
  queue: true,
  examples: [
    example('metadata web1 https://example.org/team', 'show it'),
    example("metadata web1 https://example.org/team --key team --set '<owner>ops</owner>'", 'set it'),
    example('metadata web1 https://example.org/team --remove', 'remove it'),
  ],
  async run({ args: { domain: target, uri }, options, session, out }) {
    const { key, set, remove } = options;
    const affect = await affectOf(options, async () => false);
    if (remove && set !== undefined) throw new UsageError('--remove does not go with --set');
    if (set !== undefined && !key) throw new UsageError('--set needs --key, the prefix of the namespace');
    if (!remove && set === undefined) {
      const { value: xml } = await session.call('getMetadata', { type: 'element', uri, affect }, target);
      out.show({ uri, xml }, () => xml);
      return;
    }
    const request = { type: 'element', uri, value: set ?? null, ...(key ? { key } : {}), affect } as const;
    await session.give('setMetadata', request, target, () => (remove ? 'Metadata removed' : 'Metadata modified'));
  },
});
