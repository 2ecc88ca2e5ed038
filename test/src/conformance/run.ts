/** Which kits we can run, and running all that lie in a folder. */
import { backingStrings } from './backing-strings';
import { domainXmlQemu } from './domain-xml-qemu';
import { genericDomainXml } from './generic-domain-xml';
import { imageProbe } from './image-probe';
import { lxc } from './lxc';
import { Kit, type Runner, type Score } from './kit';
import { migrationCookies } from './migration-cookies';
import { qemuBlock } from './qemu-block';
import { qmpCapabilities } from './qmp-capabilities';
import { snapshotCheckpointBackup } from './snapshot-checkpoint-backup';
import { statusXml } from './status-xml';
import { storage } from './storage';

const runners: Readonly<Record<string, Runner>> = {
  'backing-strings': backingStrings,
  'domain-xml-qemu': domainXmlQemu,
  'generic-domain-xml': genericDomainXml,
  'image-probe': imageProbe,
  lxc,
  'migration-cookies': migrationCookies,
  'qemu-block': qemuBlock,
  'qmp-capabilities': qmpCapabilities,
  'snapshot-checkpoint-backup': snapshotCheckpointBackup,
  'status-xml': statusXml,
  storage,
};

export interface Outcome {
  readonly scores: readonly Score[];
  /** Kits that lie there and that we have no runner for. */
  readonly withoutRunner: readonly string[];
}

export async function runKits(folder: string, only?: string): Promise<Outcome> {
  const scores: Score[] = [];
  const withoutRunner: string[] = [];
  for (const kit of Kit.all(folder)) {
    if (only !== undefined && kit.name !== only) continue;
    const run = runners[kit.name];
    if (run === undefined) withoutRunner.push(kit.name);
    else scores.push(...(await run(kit)));
  }
  return { scores, withoutRunner };
}
