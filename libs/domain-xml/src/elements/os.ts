/** `<os>`: what the guest boots, and the firmware it boots with. */
import {
  element,
  attr,
  leaf,
  leaves,
  one,
  many,
  text,
  oneOf,
  string,
  anyString,
  yesNo,
  int,
  uint,
  type Model,
  type ModelOf,
} from '../schema';
import { storageSource, storageType } from './storage-source';

const flashFormat = attr(oneOf('raw', 'qcow2'), {
  refuse: ['XML_ERROR', (raw) => `Invalid value for attribute 'format': '${raw}'. Expected one of 'raw', 'qcow2'`],
});

const loader = element('loader', {
  readonly: attr(yesNo),
  secure: attr(yesNo),
  type: attr(oneOf('rom', 'pflash')),
  stateless: attr(yesNo),
  format: flashFormat,
  path: text(string),
});

const nvram = element('nvram', {
  template: attr(string),
  templateFormat: flashFormat,
  type: attr(storageType),
  format: flashFormat,
  path: text(string),
  source: one(storageSource),
});

const bootmenuFields = {
  enable: attr(yesNo),
  timeout: attr(uint, {
    refuse: ['CONFIG_UNSUPPORTED', () => 'invalid value for boot menu timeout, must be in range [0,65535]'],
  }),
};

const bootmenu = element('bootmenu', bootmenuFields, {
  // A menu that is not shown waits for nobody.
  refine: (model: Model<typeof bootmenuFields>) => {
    if (model.enable !== true) delete model.timeout;
  },
});

export const os = element('os', {
  firmware: attr(oneOf('bios', 'efi')),
  type: one(
    element('type', {
      arch: attr(string),
      machine: attr(string),
      name: text(string),
    }),
  ),
  firmwareFeatures: one(
    element('firmware', {
      features: many(
        element('feature', {
          enabled: attr(yesNo, { required: true }),
          name: attr(oneOf('enrolled-keys', 'secure-boot'), { required: true }),
        }),
      ),
    }),
  ),
  init: leaf(string),
  initargs: leaves(anyString, { name: 'initarg' }),
  initenvs: many(element('initenv', { name: attr(string, { required: true }), value: text(string) })),
  initdir: leaf(string),
  inituser: leaf(string),
  initgroup: leaf(string),
  loader: one(loader),
  nvram: one(nvram),
  kernel: leaf(string),
  initrd: leaf(string),
  cmdline: leaf(string),
  dtb: leaf(string),
  shim: leaf(string),
  root: leaf(string),
  acpi: one(
    element('acpi', {
      tables: many(
        element('table', {
          type: attr(oneOf('raw', 'rawset', 'slic', 'msdm'), { required: true }),
          path: text(string),
        }),
      ),
    }),
  ),
  boot: many(
    element('boot', {
      dev: attr(oneOf('fd', 'cdrom', 'hd', 'network'), { required: true }),
    }),
  ),
  bootmenu: one(bootmenu),
  smbios: one(element('smbios', { mode: attr(oneOf('none', 'emulate', 'host', 'sysinfo'), { required: true }) })),
  bios: one(element('bios', { useserial: attr(yesNo), rebootTimeout: attr(int({ min: -1, max: 65535 })) })),
});
export type Os = ModelOf<typeof os>;
