/** Derives libvirt's capability flags from what QEMU has told (facts.ts) by the rules (flag-rules.ts). */
import type { QemuFacts } from './facts';
import * as rules from './flag-rules';

export function deriveFlags(facts: QemuFacts): Set<string> {
  const flags = new Set<string>();
  const collect = <Rule>(table: Readonly<Record<string, Rule>>, holds: (rule: Rule) => boolean | undefined): void => {
    for (const [flag, rule] of Object.entries(table)) if (holds(rule)) flags.add(flag);
  };
  const hasProperty = ([type, property]: readonly [string, string]): boolean | undefined =>
    facts.properties.get(type)?.has(property);

  collect(rules.typeFlags, (type) => facts.types.has(type));
  collect(rules.devicePropertyFlags, hasProperty);
  collect(rules.objectPropertyFlags, hasProperty);
  collect<string | readonly string[]>(rules.schemaFlags, (paths) =>
    [paths].flat().every((path) => facts.schema.has(path)),
  );
  collect(rules.optionFlags, ([option, parameter]) => facts.options.get(option)?.has(parameter));
  collect(rules.migrationFlags, (capability) => facts.migration.has(capability));
  collect(rules.tpmFlags, (name) => facts.tpm.has(name));

  if (facts.kvm) flags.add('kvm');
  if (facts.sev) flags.add('sev-guest');
  if (facts.sgx) flags.add('sgx-epc');
  const scsi = facts.properties.get('virtio-blk-pci')?.get('scsi');
  if (scsi?.['default-value'] === false) flags.add('virtio-blk-pci.scsi.default.disabled');
  collect(rules.versionFlags, (since) => facts.version >= since);
  for (const [flag, since] of Object.entries(rules.usableSince)) if (facts.version < since) flags.delete(flag);
  return flags;
}
