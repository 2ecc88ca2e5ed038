/** The three names of a domain: name, uuid, and the id it has on its host while it runs. */
import { command, domain, example } from '../spec';

export const uuid = command({
  name: 'domuuid',
  group: 'domain',
  summary: "Print a domain's uuid",
  args: { domain },
  options: {},
  examples: [example('domuuid web1', 'the name that never changes')],
  async run({ args, session, out }) {
    const { domain: found } = await session.call('getDomain', {}, args.domain);
    out.show({ uuid: found.uuid }, () => found.uuid);
  },
});

export const name = command({
  name: 'domname',
  group: 'domain',
  summary: "Print a domain's name",
  args: { domain },
  options: {},
  examples: [example('domname 0b9a3b4e-5d2c-4f2a-9d3e-1a2b3c4d5e6f', 'the name of a uuid')],
  async run({ args, session, out }) {
    const { domain: found } = await session.call('getDomain', {}, args.domain);
    out.show({ name: found.name }, () => found.name);
  },
});

export const id = command({
  name: 'domid',
  group: 'domain',
  summary: "Print a running domain's id on its host, - when it is inactive",
  args: { domain },
  options: {},
  examples: [example('domid web1', 'a new one with every start')],
  async run({ args, session, out }) {
    const { domain: found } = await session.call('getDomain', {}, args.domain);
    out.show({ id: found.id < 0 ? null : found.id }, () => (found.id < 0 ? '-' : String(found.id)));
  },
});
