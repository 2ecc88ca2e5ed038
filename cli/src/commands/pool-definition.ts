/** Defining pools and creating transient ones: from a document, or from options that make one. */
import { readDefinition, type Definition } from '../definition';
import { storageXml } from '../lazy';
import { argument, command, example, flag, repeated, value, type OptionValues } from '../spec';
import { build, buildOf } from './pools';

const host = { host: value('HOST', 'where; may be left out when there is but one', 'host') };
const file = argument('file with XML or its JSON form; - is standard input', 'file');

const fromFile = (name: string, gives: 'definePool' | 'createPool', summary: string, done: string, says: string) =>
  command({
    name,
    group: 'pool',
    summary,
    args: { file },
    options: { ...build, ...host },
    gives,
    examples: [example(`${name} images.xml --host h1`, says)],
    async run({ args, options, session }) {
      const request = { ...(await readDefinition(args.file)), build: buildOf(options) };
      const at = await session.host(options.host);
      await session.give(gives, request, at, ({ pool }) => `Pool '${pool.name}' ${done} from ${args.file}`);
    },
  });
export const poolDefine = fromFile(
  'pool-define',
  'definePool',
  'Keep the definition of a pool, or change the one that is kept',
  'defined',
  'it does not run yet',
);
export const poolCreate = fromFile(
  'pool-create',
  'createPool',
  'Start a transient pool: it is forgotten when it stops',
  'created',
  'at once',
);

const parts = {
  target: value('PATH', 'where its volumes are found on the host'),
  sourceHost: repeated('HOST', 'server of network storage; may be repeated'),
  sourcePath: value('PATH', 'folder on the server'),
  sourceDev: repeated('DEVICE', 'device that it is on; may be repeated'),
  sourceName: value('NAME', 'volume group, remote pool, …'),
  sourceFormat: value('FORMAT', 'ext4, nfs, gpt, …'),
  sourceProtocolVer: value('VERSION', 'of NFS: 3, 4.1, …'),
  sourceInitiator: value('IQN', 'who we are to an iSCSI target'),
  adapterName: value('NAME', 'SCSI adapter: host0, …'),
  authType: value('TYPE', 'chap, ceph'),
  authUsername: value('NAME', 'who we are to the server'),
  secretUuid: value('UUID', 'the secret that proves it'),
  secretUsage: value('TEXT', 'or its usage'),
};

/** The JSON form of a pool's document. */
function documentOf(name: string, type: string, chosen: OptionValues<typeof parts>): Record<string, unknown> {
  const secret = { uuid: chosen.secretUuid, usage: chosen.secretUsage };
  const source = {
    hosts: chosen.sourceHost.map((each) => ({ name: each })),
    devices: chosen.sourceDev.map((path) => ({ path })),
    dir: chosen.sourcePath && { path: chosen.sourcePath },
    name: chosen.sourceName,
    format: chosen.sourceFormat && { type: chosen.sourceFormat },
    protocol: chosen.sourceProtocolVer && { ver: chosen.sourceProtocolVer },
    initiator: chosen.sourceInitiator && { iqn: { name: chosen.sourceInitiator } },
    adapter: chosen.adapterName && { type: 'scsi_host', name: chosen.adapterName },
    auth: chosen.authType && { type: chosen.authType, username: chosen.authUsername, secret },
  };
  return { type, name, source: present(source), ...(chosen.target && { target: { path: chosen.target } }) };
}

const present = (members: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).filter(([, each]) => each !== undefined && each !== ''));

const fromOptions = (name: string, gives: 'definePool' | 'createPool', summary: string, done: string, says: string) =>
  command({
    name,
    group: 'pool',
    summary,
    args: { name: argument('name of the pool'), type: argument('dir, fs, netfs, logical, disk, …') },
    options: { ...parts, ...build, printXml: flag('print the document, and do nothing else'), ...host },
    gives,
    examples: [example(`${name} images dir --target /srv/images --build --host h1`, says)],
    async run({ args, options, session, out }) {
      const document: Definition = { document: documentOf(args.name, args.type, options) };
      if (options.printXml) {
        const { formatPool, poolFromJson } = storageXml();
        return out.show(document.document, () => formatPool(poolFromJson(document.document)));
      }
      const at = await session.host(options.host);
      const request = { ...document, build: buildOf(options) };
      await session.give(gives, request, at, ({ pool }) => `Pool '${pool.name}' ${done}`);
    },
  });
export const poolDefineAs = fromOptions(
  'pool-define-as',
  'definePool',
  'Keep the definition of a pool that options describe',
  'defined',
  'a folder, made where there is none',
);
export const poolCreateAs = fromOptions(
  'pool-create-as',
  'createPool',
  'Start a transient pool that options describe',
  'created',
  'a folder, made where there is none',
);
