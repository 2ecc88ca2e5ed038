/** CPUs by their features: read, compared, brought to a common ground. */
import { cpu as declaration, type Cpu } from '../elements/cpu';
import { formatElement } from '../schema/format';

export { baselineCpu, hostModelCpu, type BaselineOptions } from './baseline';
export { compareCpu, type CpuComparison } from './compare';
export { cpusOfDocument } from './cpu-documents';
export { documentName as cpuFeatureName } from './feature-names';
export { cpuLoss, givenCpu, type GivenCpu } from './moving';
export { cpuKnowledge, vendorName, type CpuKnowledge } from './features';

/** The `<cpu>` element. */
export const formatCpu = (cpu: Cpu): string =>
  formatElement(declaration, cpu, { view: 'inactive', secrets: false, migratable: false });
