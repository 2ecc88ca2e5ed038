/** Making the authority of a bus: its keys, its servers' configurations and certificates, its first two users. */
import type { Deployment, GivenCertificates } from '@virtbus/shared/auth';
import { auth } from '../lazy';
import { credentialsFolder } from '../settings';
import { command, example, flag, optional, parseNumber, UsageError, value, type Option } from '../spec';

type Server = Deployment['servers'][number];

/** Between the port for clients and the one for the other servers, when none is named: NATS' 4222 and 6222. */
const toClusterPort = 2_000;
const lastPort = 65_535;

const monitorPort: Option<number | undefined> = {
  placeholder: 'PORT',
  doc: "let NATS' own health and monitoring pages answer on the loopback",
  parse: (text, name) => {
    const port = parseNumber(text, name, 1);
    if (port > lastPort) throw new UsageError(`${name}: ${port} is no port`);
    return port;
  },
};

export const authInit = command({
  name: 'auth-init',
  group: 'auth',
  summary: 'Make the keys of a bus, the configuration of its servers, and credentials for admin and service',
  about:
    'Without --servers: one server on the loopback. A server is NAME, or NAME=HOST[:PORT[:CLUSTERPORT]] where its name is not how others reach it. Servers that other machines can reach need TLS.',
  args: { folder: optional('where; default: credentials, in the state folder', 'file') },
  options: {
    servers: value('LIST', 'the servers of the cluster, comma separated'),
    tls: flag('make a private certificate authority, and a certificate for each server'),
    ca: value('FILE', 'PEM: the authority that issued --cert', 'file'),
    cert: value('FILE', 'PEM: a certificate for all the servers', 'file'),
    key: value('FILE', 'PEM: its private key', 'file'),
    configDir: value('DIR', 'where a server finds its folder of this one, when that is carried elsewhere', 'file'),
    storeDir: value('DIR', "where a server keeps JetStream's data; default: data, beside its configuration", 'file'),
    monitorPort,
  },
  examples: [
    example('auth init', 'for one machine'),
    example('auth init bus --servers n1,n2,n3 --tls', 'for a cluster of three, into the folder bus'),
    example(
      'auth init bus --servers n1=10.0.0.1:4222 --ca ca.pem --cert n1.pem --key n1.key',
      'with your certificates',
    ),
  ],
  async run({ args, options, out }) {
    const { AuthorityFolder } = auth();
    const given = givenCertificates(options);
    if (given && options.tls) throw new UsageError('--tls makes certificates, --cert brings them: give one of the two');
    const { configDir, storeDir, monitorPort } = options;
    const deployment: Deployment = {
      servers: parseServers(options.servers ?? 'virtbus=127.0.0.1'),
      tls: given ? 'given' : options.tls ? 'own' : 'none',
      ...(configDir === undefined ? {} : { configDir }),
      ...(storeDir === undefined ? {} : { storeDir }),
      ...(monitorPort === undefined ? {} : { monitorPort }),
    };
    const folder = await AuthorityFolder.create(args.folder ?? credentialsFolder(), deployment, given);
    const contexts = await AuthorityFolder.change(folder.path, async (made) => [
      made.writeContext(await made.authority.add({ name: 'admin', role: 'admin' })),
      made.writeContext(await made.authority.add({ name: 'service', role: 'service' })),
    ]);
    const configurations = deployment.servers.map(({ name }) => folder.serverConfig(name));
    out.show({ folder: folder.path, url: folder.url, servers: configurations, contexts }, () =>
      [
        `Bus at ${folder.url}`,
        ...configurations.map((file) => `Server configuration ${file}`),
        ...contexts.map((file) => `Credentials ${file}`),
        `Keep ${folder.path}/authority.json: whoever has it is everybody`,
      ].join('\n'),
    );
  },
});

function givenCertificates(
  o: Partial<Record<'ca' | 'cert' | 'key', string | undefined>>,
): GivenCertificates | undefined {
  const { ca, cert, key } = o;
  if (ca !== undefined && cert !== undefined && key !== undefined) return { ca, cert, key };
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  throw new UsageError('--ca, --cert and --key belong together: give all three');
}

/** `n1`, `n1=bus1.example.org`, `n1=10.0.0.1:4222:6222`, `n1=[fe80::1]:4222`. */
export function parseServers(text: string): Server[] {
  return text.split(',').map((word) => {
    const [, name = '', , bracketed, plain, port, clusterPort] =
      /^([^=]+)(=(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?(?::(\d{1,5}))?)?$/.exec(word.trim()) ?? [];
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(name) || !/^[A-Za-z0-9:._-]+$/.test(bracketed ?? plain ?? name)) {
      throw new UsageError(`--servers: '${word}' is neither NAME nor NAME=HOST[:PORT[:CLUSTERPORT]]`);
    }
    const clients = Number(port ?? 4_222);
    const cluster = Number(clusterPort ?? clients + toClusterPort);
    const bad = [clients, cluster].find((each) => each < 1 || each > lastPort);
    if (bad !== undefined) throw new UsageError(`--servers: '${word}': ${bad} is no port`);
    return { name, host: bracketed ?? plain ?? name, port: clients, clusterPort: cluster };
  });
}
