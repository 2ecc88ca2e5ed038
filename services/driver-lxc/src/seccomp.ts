/**
 * System calls that reach past the container whatever capabilities it has: refused with EPERM.
 *
 * Format: lxc.container.conf(5), "seccomp", version 2. Loading modules and kernels, opening files by handle (which gets
 * around the root file system), the kernel's swap, accounting, its log, and raw access to ports.
 */
const refused = [
  ...['kexec_load', 'kexec_file_load', 'init_module', 'finit_module', 'delete_module'],
  ...['open_by_handle_at', 'swapon', 'swapoff', 'acct', 'syslog', 'iopl', 'ioperm'],
  ...['bpf', 'perf_event_open', 'userfaultfd', 'quotactl', 'nfsservctl', 'lookup_dcookie', 'vhangup'],
  ...['add_key', 'request_key', 'keyctl'],
];

export const seccompPolicy = [
  '2',
  'denylist',
  'reject_force_umount',
  '[all]',
  ...refused.map((call) => `${call} errno 1`),
  '',
].join('\n');
