/** What the QEMU binaries of this host can do: probing, cache, documents. */
export { domainCapabilities, domainCapabilitiesXml, type DomainCapabilities } from './domain-document';
export { hostCapabilities, hostCapabilitiesXml, type GuestSupport, type HostCapabilities } from './host-document';
export { judgeKvm, type KvmVerdict } from './kvm';
export { probe, UnusableEmulator } from './probe';
export { CapabilityStore, type ProbedEmulator } from './store';
