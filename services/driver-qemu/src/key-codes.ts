/**
 * Linux key names and numbers as QEMU's key codes.
 *
 * Sources: linux/input-event-codes.h for names and numbers, QEMU's QMP reference (`QKeyCode`) for the codes.
 */
import { VirtError } from '@virtbus/shared';

/** QEMU's code by Linux's number; the names differ from Linux's where `names` says so. */
const byNumber: Record<number, string> = {};
/** Linux's name without `KEY_`, by number from 1: one line of the keyboard after another. */
const rows: [first: number, names: string][] = [
  [1, 'esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab q w e r t y u i o p leftbrace rightbrace enter leftctrl'],
  [30, 'a s d f g h j k l semicolon apostrophe grave leftshift backslash z x c v b n m comma dot slash rightshift'],
  [55, 'kpasterisk leftalt space capslock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 numlock scrolllock kp7 kp8 kp9 kpminus'],
  [75, 'kp4 kp5 kp6 kpplus kp1 kp2 kp3 kp0 kpdot'],
  [86, '102nd f11 f12'],
  [96, 'kpenter rightctrl kpslash sysrq rightalt'],
  [102, 'home up pageup left right end down pagedown insert delete'],
  [116, 'power'],
  [125, 'leftmeta rightmeta compose'],
  [142, 'sleep wakeup'],
];

/** Where QEMU's name is another. */
const renamed: Record<string, string> = {
  leftbrace: 'bracket_left',
  rightbrace: 'bracket_right',
  enter: 'ret',
  leftctrl: 'ctrl',
  rightctrl: 'ctrl_r',
  leftshift: 'shift',
  rightshift: 'shift_r',
  leftalt: 'alt',
  rightalt: 'alt_r',
  leftmeta: 'meta_l',
  rightmeta: 'meta_r',
  grave: 'grave_accent',
  space: 'spc',
  capslock: 'caps_lock',
  numlock: 'num_lock',
  scrolllock: 'scroll_lock',
  kpasterisk: 'kp_multiply',
  kpminus: 'kp_subtract',
  kpplus: 'kp_add',
  kpdot: 'kp_decimal',
  kpenter: 'kp_enter',
  kpslash: 'kp_divide',
  '102nd': 'less',
  pageup: 'pgup',
  pagedown: 'pgdn',
  wakeup: 'wake',
  ...Object.fromEntries(Array.from({ length: 10 }, (_, digit) => [`kp${digit}`, `kp_${digit}`])),
};

const byName = new Map<string, string>();
for (const [first, names] of rows) {
  for (const [offset, name] of names.split(' ').entries()) {
    const qcode = renamed[name] ?? name;
    byNumber[first + offset] = qcode;
    byName.set(`KEY_${name.toUpperCase()}`, qcode);
  }
}
const qcodes = new Set(byName.values());

/** Throws INVALID_ARG for a key that the code set does not have. */
export function qcodeOf(key: string | number, codeset: 'linux' | 'qcode'): string {
  const number = typeof key === 'number' ? key : /^(0x[\da-f]+|\d+)$/i.test(key) ? Number(key) : undefined;
  const found =
    codeset === 'linux'
      ? number !== undefined
        ? byNumber[number]
        : byName.get(String(key).toUpperCase())
      : qcodes.has(String(key))
        ? String(key)
        : undefined;
  if (found) return found;
  const hint = codeset === 'linux' ? 'KEY_A, KEY_ENTER, …, or its number' : 'a, ret, …';
  throw new VirtError('INVALID_ARG', { detail: `unknown ${codeset} key '${key}'; expected ${hint}` });
}
