/** Documents that once made a pass throw what is no answer, or take too long; each as small as it was understood. */
const guest = (devices: string, other = ''): string => `<domain type='qemu'><name>a</name><memory>65536</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os>${other}<devices>${devices}</devices></domain>`;

export const domainXmlFindings: readonly string[] = [
  guest(`<controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='1' model='__proto__'/>
    <controller type='pci' index='2' model='dmi-to-pci-bridge'><address type='pci' bus='1'/></controller>`),
  guest('', "<clock offset='absolute' start='259483956018176'/>"),
  guest(
    `<disk type='file' device='disk'><driver type='raw'/><source file='/a' fdgroup='toString'/><target dev='sda'/></disk>`,
  ),
  guest('', "<clock offset='variable' adjustment='reset'/>"),
];
