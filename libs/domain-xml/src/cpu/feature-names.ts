/** Names of CPU features: QEMU writes dashes, libvirt's documents keep some older spellings. */
import { featureName, notProperties } from '../qemu/cpu';

/** Where libvirt's name is not QEMU's. */
const documentNames: Readonly<Record<string, string>> = {
  'lahf-lm': 'lahf_lm',
  'cmp-legacy': 'cmp_legacy',
  'nodeid-msr': 'nodeid_msr',
  'perfctr-core': 'perfctr_core',
  'perfctr-nb': 'perfctr_nb',
  'fxsr-opt': 'fxsr_opt',
  'tsc-adjust': 'tsc_adjust',
  pclmulqdq: 'pclmuldq',
};

/** A feature of QEMU's as documents call it. */
export const documentName = (feature: string): string => documentNames[feature] ?? feature;

/** A feature of a document as QEMU calls it; undefined for one that only follows from others. */
export const qemuName = (feature: string): string | undefined =>
  notProperties.has(feature) ? undefined : featureName(feature);
