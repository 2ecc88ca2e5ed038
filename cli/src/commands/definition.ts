/** Commands on definitions: define, create, undefine, edit, rename, autostart, and the document itself. */
import { attachConsole } from '../console';
import { readDefinition } from '../definition';
import { editText } from '../editor';
import { argument, command, domain, example, flag, repeated, UsageError, value } from '../spec';
import { fail } from '../failure';

const file = argument('file with XML or its JSON form; - is standard input', 'file');
const placement = {
  host: value('HOST', 'its home; chosen by the fleet when left out', 'host'),
  label: repeated('KEY=VALUE', 'a label that the host must have; may be repeated'),
};
const validate = flag('refuse elements and attributes that are not known, by line, instead of warning of them');

/** `key=value` pairs. */
export function labelsOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new UsageError(`--label: '${pair}' is not KEY=VALUE`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

const placed = (options: { host: string | undefined; label: string[] }) => ({
  ...(options.host ? { host: options.host } : {}),
  labels: labelsOf(options.label),
});
const from = (path: string): string => (path === '-' ? 'standard input' : path);

export const define = command({
  name: 'define',
  group: 'domain',
  summary: 'Keep a definition, or change the one that is kept',
  about: 'Does not start it. On a domain that runs it changes the next boot.',
  args: { file },
  options: { validate, ...placement },
  gives: 'defineDomain',
  queue: true,
  examples: [
    example('define web1.xml', 'on a host that suits it'),
    example('define web1.xml --host h2 --label disk=ssd', 'there, and only if it has SSDs'),
    example('define - < web1.json', 'the JSON form, from standard input'),
  ],
  async run({ args, options, session, out }) {
    const request = { ...(await readDefinition(args.file)), ...placed(options), validate: options.validate };
    await session.give('defineDomain', request, undefined, ({ domain: made, warnings }) => {
      for (const warning of warnings) out.note(`warning: ${warning}`);
      return `Domain '${made.name}' defined from ${from(args.file)}`;
    });
  },
});

export const create = command({
  name: 'create',
  group: 'domain',
  summary: 'Start a transient domain: it has no definition and is forgotten when it stops',
  args: { file },
  options: { console: flag('attach to its console'), paused: flag('leave it paused'), validate, ...placement },
  gives: 'createDomain',
  queue: true,
  examples: [example('create job7.xml', 'run it once'), example('create job7.xml --console', 'and watch it')],
  async run({ args, options, session, out }) {
    if (options.console && session.queueing) throw new UsageError('--console does not go with --queue');
    const { paused } = options;
    const request = { ...(await readDefinition(args.file)), ...placed(options), validate: options.validate, paused };
    let uuid: string | undefined;
    await session.give('createDomain', request, undefined, ({ domain: made, warnings }) => {
      for (const warning of warnings) out.note(`warning: ${warning}`);
      uuid = made.uuid;
      return `Domain '${made.name}' created from ${from(args.file)}`;
    });
    if (options.console && uuid) await attachConsole(session, out, uuid, {});
  },
});

export const undefine = command({
  name: 'undefine',
  group: 'domain',
  summary: 'Drop a definition; a domain that runs goes on as a transient one',
  args: { domain },
  options: {
    managedSave: flag('remove its managed save image too'),
    snapshotsMetadata: flag('forget its snapshots too; their images stay'),
    checkpointsMetadata: flag('forget its checkpoints too'),
    nvram: flag('remove its UEFI variables too'),
    keepNvram: flag('leave its UEFI variables where they are'),
  },
  gives: 'undefineDomain',
  queue: true,
  examples: [example('undefine web1', 'drop it'), example('undefine web1 --managed-save --nvram', 'and all it left')],
  async run({ args, options, session }) {
    if (options.nvram && options.keepNvram) throw new UsageError('--nvram does not go with --keep-nvram');
    const nvram = options.nvram ? 'delete' : options.keepNvram ? 'keep' : 'refuse';
    const { managedSave, snapshotsMetadata, checkpointsMetadata } = options;
    const request = { managedSave, snapshotsMetadata, checkpointsMetadata, nvram } as const;
    await session.give('undefineDomain', request, args.domain, (a) => `Domain '${a.domain.name}' has been undefined`);
  },
});

export const autostart = command({
  name: 'autostart',
  group: 'domain',
  summary: 'Start a domain when its host comes up, or no longer',
  args: { domain },
  options: { disable: flag('no longer') },
  gives: 'setAutostart',
  queue: true,
  examples: [example('autostart web1', 'from now on'), example('autostart web1 --disable', 'no longer')],
  async run({ args, options, session }) {
    const words = options.disable ? 'unmarked' : 'marked';
    const request = { enabled: !options.disable };
    await session.give('setAutostart', request, args.domain, (a) => {
      return `Domain '${a.domain.name}' ${words} as autostarted`;
    });
  },
});

export const rename = command({
  name: 'domrename',
  group: 'domain',
  summary: 'Give an inactive domain another name; its uuid stays',
  args: { domain, newName: argument('its new name') },
  options: {},
  gives: 'renameDomain',
  queue: true,
  examples: [example('domrename web1 web2', 'web1 is web2 now')],
  async run({ args, session }) {
    await session.give('renameDomain', { name: args.newName }, args.domain, () => 'Domain successfully renamed');
  },
});

export const dumpxml = command({
  name: 'dumpxml',
  group: 'domain',
  summary: "Print a domain's document",
  about: 'With --json the JSON form of the same document.',
  args: { domain },
  options: {
    inactive: flag('the definition, also when the domain runs'),
    securityInfo: flag('with passwords (operators only)'),
    migratable: flag('fit for another host'),
  },
  examples: [
    example('dumpxml web1', 'as it runs'),
    example('dumpxml web1 --inactive > web1.xml', 'as it will start next time'),
    example('dumpxml web1 --json | jq .devices', 'for a program'),
  ],
  async run({ args, options: { inactive, migratable, securityInfo }, globals, session, out }) {
    const format = globals.json ? 'json' : 'xml';
    const name = securityInfo ? 'getDomainXmlWithSecrets' : 'getDomainXml';
    const answer = await session.call(name, { inactive, migratable, format }, args.domain);
    out.show(answer.document, () => answer.xml ?? '');
  },
});

export const edit = command({
  name: 'edit',
  group: 'domain',
  summary: "Change a domain's definition in $VISUAL or $EDITOR",
  args: { domain },
  options: { validate },
  gives: 'defineDomain',
  examples: [example('edit web1', 'in your editor')],
  async run({ args, options: { validate: strict }, session, out }) {
    const { domain: found } = await session.call('getDomain', {}, args.domain);
    if (!found.persistent)
      throw fail('OPERATION_INVALID', { detail: `domain '${found.name}' is transient: it has no definition to edit` });
    const { xml = '' } = await session.call('getDomainXmlWithSecrets', { inactive: true }, found.uuid);
    const apply = (edited: string) => session.call('defineDomain', { xml: edited, host: found.host, validate: strict });
    const answer = await editText(xml, `${found.name}.xml`, apply, (text) => out.note(text));
    if (answer === undefined)
      out.show({ changed: false }, () => `Domain '${found.name}' XML configuration not changed.`);
    else {
      for (const warning of answer.warnings) out.note(`warning: ${warning}`);
      out.show({ changed: true, ...answer }, () => `Domain '${answer.domain.name}' XML configuration edited.`);
    }
  },
});
