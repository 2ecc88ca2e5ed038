/** What all virtio devices have in common: their names on each bus, their options, their threads. */
import { NotUnderstood } from './not-understood';
import type { Values } from './values';

/** The member, where there is a value for it. */
export const optional = <K extends string, T>(key: K, value: T | undefined): { [P in K]?: T } =>
  (value === undefined ? {} : { [key]: value }) as { [P in K]?: T };

/** `virtio-blk-pci-transitional`: the name without its bus, and what it says of its generation. */
export function virtioName(driver: string): {
  name: string;
  model?: 'virtio-transitional' | 'virtio-non-transitional';
} {
  const match = /^((?:virtio|vhost)-[\w-]+?)-(?:pci|ccw|device)(?:-(transitional|non-transitional))?$/.exec(driver);
  if (!match) return { name: driver };
  const kind = match[2] as 'transitional' | 'non-transitional' | undefined;
  return { name: match[1]!, ...(kind && { model: `virtio-${kind}` as const }) };
}

/** `<driver>` with what all virtio devices share, where the line says any of it. */
export function virtioDriver(values: Values): { driver?: VirtioOptions } {
  const driver = {
    ...optional('iommu', values.takeFlag('iommu_platform')),
    ...optional('ats', values.takeFlag('ats')),
    ...optional('packed', values.takeFlag('packed')),
    ...optional('page_per_vq', values.takeFlag('page-per-vq')),
  };
  return Object.keys(driver).length > 0 ? { driver } : {};
}

interface VirtioOptions {
  iommu?: boolean;
  ats?: boolean;
  packed?: boolean;
  page_per_vq?: boolean;
}

/** `iothread=iothread1`: the numbers are the document's own, and so are the names that it gives them. */
export function threadOf(values: Values): { iothread?: number } {
  const name = values.take('iothread');
  if (name === undefined) return {};
  const number = /^iothread([1-9]\d*)$/.exec(name)?.[1];
  if (number === undefined) throw new NotUnderstood(`thread '${name}' has no number`);
  return { iothread: Number(number) };
}
