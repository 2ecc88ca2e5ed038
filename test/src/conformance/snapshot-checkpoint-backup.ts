/** The kit of descriptions of snapshots and checkpoints, and of requests for backups. */
import { parseDomain, type Domain } from '@virtbus/domain-xml';
import { alignBackup, formatBackup, parseBackup } from '@virtbus/domain-xml/backup';
import { formatCheckpoint, parseCheckpoint } from '@virtbus/domain-xml/checkpoint';
import { formatSnapshot, parseSnapshot, type DescriptionForm } from '@virtbus/domain-xml/snapshot';
import { differenceInText, differenceInTrees } from './compare';
import { Tally, type Runner } from './kit';

interface Case {
  id: string;
  kind: 'snapshot' | 'checkpoint' | 'backup';
  expect: 'ok' | 'parse-error';
  input: string;
  expectXml?: string;
  creationTime?: number;
  options?: string[];
  domainUuid?: string;
  internal?: boolean;
}

export const snapshotCheckpointBackup: Runner = (kit) => {
  const tally = new Tally(kit.name);
  for (const one of kit.cases<Case>()) {
    let output: string | undefined;
    let refusal = '';
    try {
      output = writers[one.kind](kit.read(one.input), one);
    } catch (error) {
      refusal = `refused: ${error instanceof Error ? error.message : String(error)}`;
    }
    const refused = output === undefined;
    const asExpected = refused === (one.expect === 'parse-error');
    tally.add(`${one.kind} verdict`, one.id, asExpected ? undefined : refusal || 'accepted, but should be refused');
    if (one.expectXml === undefined) continue;
    const expected = kit.read(one.expectXml);
    tally.add(`${one.kind} output (lenient)`, one.id, refused ? refusal : differenceInTrees(expected, output ?? ''));
    tally.add(`${one.kind} output (strict)`, one.id, refused ? refusal : differenceInText(expected, output ?? ''));
  }
  return tally.scores();
};

const writers: Readonly<Record<Case['kind'], (xml: string, one: Case) => string>> = {
  snapshot: (xml, { creationTime: now, options = [], domainUuid }) => {
    const stored = options.includes('internal');
    const form: DescriptionForm = stored ? 'stored' : options.includes('redefine') ? 'redefinition' : 'request';
    const snapshot = parseSnapshot(xml, { form, ...(now !== undefined && { now }) });
    if (options.includes('running')) snapshot.state = 'running';
    return formatSnapshot(snapshot, { stored, secrets: true, domainUuid });
  },
  checkpoint: (xml, { creationTime: now, options = [] }) => {
    const form = options.includes('redefine') ? 'redefinition' : 'request';
    const checkpoint = parseCheckpoint(xml, { form, ...(now !== undefined && { now }) });
    if (options.includes('parent')) checkpoint.parent = { name: '1525111885' };
    const [first] = checkpoint.disks;
    if (first && options.includes('vda-bitmap'))
      Object.assign(first, { name: 'vda', checkpoint: 'bitmap', bitmap: checkpoint.name });
    if (first && options.includes('size')) first.size = 1048576;
    return formatCheckpoint(checkpoint, { secrets: true });
  },
  backup: (xml, { internal = false }) => {
    const request = parseBackup(xml, { stored: internal });
    const disks = [...request.disks.map(({ name }) => name), 'vdextradisk'];
    return formatBackup(alignBackup(request, domainWith(disks), 'SUFFIX'), { stored: internal });
  },
};

/** A domain with these disks, each a file of its own. */
function domainWith(disks: readonly string[]): Domain {
  const disk = (name: string): string =>
    `<disk type='file'><driver name='qemu' type='qcow2'/><source file='/fake/${name}.qcow2'/><target dev='${name}' bus='virtio'/></disk>`;
  const xml = `<domain type='qemu'><name>fake</name><memory>1</memory><os><type>hvm</type></os>
    <devices>${disks.map(disk).join('')}</devices></domain>`;
  return parseDomain(xml, { mode: 'inactive' }).domain;
}
