import { parseDomain, formatDomain } from './parse-domain';
import { prepareForStart } from './qemu';

const folder = '/run/virtbus/h1/qemu/59bc36f0b9442359b4c0';
const document = (...sources: string[]): string => `<domain type='qemu' id='3'><name>web1</name>
  <uuid>59bc36f0-0000-4000-8000-b9442359b4c0</uuid><memory>65536</memory><os><type>hvm</type></os><devices>${sources
    .map(
      (source, n) =>
        `<channel type='unix'>${source}<target type='virtio' name='${n === 0 ? 'agent' : `port${n}`}'/></channel>`,
    )
    .join('')}</devices></domain>`;
const bind = (path: string): string => `<source mode='bind' path='${path}'/>`;
const parse = (...sources: string[]) => parseDomain(document(...sources), { mode: 'live' }).domain;
const paths = (xml: string): string[] => [...xml.matchAll(/path='([^']*)'/g)].map(([, path]) => path!);
const migratable = { view: 'live', migratable: true } as const;

describe('sockets that a start has made up', () => {
  const chosen = [
    bind('/srv/sockets/agent'),
    bind(`${folder}/other`),
    `<source mode='connect' path='${folder}/port2'/>`,
  ];
  const libvirts = bind('/run/libvirt/qemu/channel/3-web1/agent').replace('/run', '/var/run');

  test('do not go to another host; those that somebody chose do', () => {
    expect(paths(formatDomain(parse(bind(`${folder}/agent`)), migratable))).toEqual([]);
    expect(paths(formatDomain(parse(libvirts), migratable))).toEqual([]);
    expect(paths(formatDomain(parse(...chosen), migratable))).toHaveLength(3);
    expect(paths(formatDomain(parse(bind(`${folder}/agent`)), { view: 'live' }))).toHaveLength(1);
  });

  test('are made up again where a guest starts, whatever the document says', () => {
    const started = (...sources: string[]) =>
      prepareForStart(parse(...sources), { channelDir: '/run/h2' }).devices.channels.map((one) => one.sources[0]?.path);
    expect(started(bind(`${folder}/agent`), '')).toEqual(['/run/h2/agent', '/run/h2/port1']);
    expect(started(...chosen)).toEqual(['/srv/sockets/agent', `${folder}/other`, `${folder}/port2`]);
  });
});
