/** Comparing CPUs over the bus: documents are read and written here, the driver knows what its hypervisor can give. */
import { cpusOfDocument, formatCpu } from '@virtbus/domain-xml';
import type { baselineCpu, compareCpu, Request, Response } from '@virtbus/shared';
import { facet, type Driver } from './driver';

export function compare(
  driver: Driver,
  { xml, driver: _driver, ...ask }: Request<typeof compareCpu>,
): Response<typeof compareCpu> {
  return facet(driver, 'cpu').compare(cpusOfDocument(xml)[0]!, ask);
}

export function baseline(
  driver: Driver,
  { documents, features, migratable, onHost, driver: _driver, ...ask }: Request<typeof baselineCpu>,
): Response<typeof baselineCpu> {
  const cpus = documents.flatMap(cpusOfDocument);
  return { xml: formatCpu(facet(driver, 'cpu').baseline(cpus, { features, migratable, onHost }, ask)) };
}
