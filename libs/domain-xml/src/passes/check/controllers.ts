/** Controllers: USB companions and limits, PCI roots and expander buses, threads. */
import { lineOf } from '../../schema';
import { isArmVirt, isI440fx, isPseries, isQ35 } from '../machine';
import { usbDevices } from '../addresses/usb';
import type { Rule } from './rule';

const usb: Rule = ({ domain, faults }) => {
  const list = domain.devices.controllers.filter(({ type }) => type === 'usb');
  const off = list.some(({ model }) => model === 'none');
  for (const controller of list) {
    const where = { element: 'controller', line: lineOf(controller) };
    const { model = '', ports, index } = controller;
    if (off && model !== 'none')
      faults.add('XML_ERROR', "Can't add another USB controller: USB is disabled for this domain", where);
    if (/xhci$/.test(model) && ports !== undefined && ports > 15)
      faults.add('CONFIG_UNSUPPORTED', `'${model}' controller only supports up to '15' ports`, where);
    const hasMaster = list.some((other) => other.index === index && other.model === 'ich9-ehci1');
    if (/^ich9-uhci/.test(model) && !hasMaster) faults.add('XML_ERROR', 'No master USB controller specified', where);
  }
  if (!off) return;
  for (const hub of domain.devices.hubs)
    faults.add('CONFIG_UNSUPPORTED', "Can't add USB hub: USB is disabled for this domain", {
      element: 'hub',
      line: lineOf(hub),
    });
  for (const input of domain.devices.inputs)
    if (input.bus === 'usb')
      faults.add('CONFIG_UNSUPPORTED', "Can't add USB input device. USB bus is disabled", {
        element: 'input',
        line: lineOf(input),
      });
  const others = usbDevices(domain).filter(
    ({ hub, device }) => !hub && !domain.devices.inputs.includes(device as never),
  );
  for (const { device } of others)
    faults.add('CONFIG_UNSUPPORTED', 'Device configuration is not compatible: Domain has USB bus support disabled', {
      line: lineOf(device),
    });
};

const pci: Rule = ({ domain, faults }) => {
  const cells = domain.cpu?.numa?.cells.length ?? 0;
  for (const controller of domain.devices.controllers) {
    if (controller.type !== 'pci') continue;
    const where = { element: 'controller', line: lineOf(controller) };
    const { model = '', index = 0, target } = controller;
    if ((model === 'pci-root' || model === 'pcie-root') && index !== 0 && !isPseries(domain))
      faults.add('XML_ERROR', 'pci-root and pcie-root controllers should have index 0', where);
    if (model === 'pcie-expander-bus' && !isQ35(domain) && !isArmVirt(domain))
      faults.add('CONFIG_UNSUPPORTED', 'pcie-expander-bus controllers are not supported with this machine type', where);
    if (model === 'pci-expander-bus' && !isI440fx(domain))
      faults.add(
        'CONFIG_UNSUPPORTED',
        'pci-expander-bus controllers are only supported on 440fx-based machinetypes',
        where,
      );
    if (target?.node !== undefined && target.node >= cells)
      faults.add(
        'XML_ERROR',
        `${model} with index ${index} is configured for a NUMA node (${target.node}) not present in the domain's <cpu><numa> array (${cells})`,
        where,
      );
  }
};

const threads: Rule = ({ domain, faults }) => {
  for (const controller of domain.devices.controllers) {
    const { type, model = '', driver } = controller;
    if (driver?.iothread === undefined) continue;
    if (type !== 'scsi' || !model.startsWith('virtio'))
      faults.add('XML_ERROR', "'iothread' attribute only supported for virtio scsi controllers", {
        element: 'controller',
        line: lineOf(controller),
      });
  }
};

const unique: Rule = ({ domain, faults }) => {
  const seen = new Set<string>();
  for (const controller of domain.devices.controllers) {
    const { type, index, model = '' } = controller;
    if (index === undefined) continue;
    // The companions of a USB 2 controller have its number.
    const key = `${type} ${index} ${model.startsWith('ich9-') ? model : ''}`;
    if (seen.has(key))
      faults.add('XML_ERROR', `Multiple '${type}' controllers with index '${index}'`, {
        element: 'controller',
        line: lineOf(controller),
      });
    seen.add(key);
  }
};

export const controllerConflicts: readonly Rule[] = [unique];
export const controllerRules: readonly Rule[] = [usb, pci, threads, ...controllerConflicts];
