/** What reaches inside a guest, or looks at it as its user does: consoles, keys, its screen, its agent, commands. */
import type { CommandEnd, TerminalSize } from '@virtbus/shared';
import type { Guest } from '../guest';

/** A console of a guest: one stream of bytes each way. */
export interface ConsoleChannel {
  readonly device: string;
  /** The last output, at most `bytes`. */
  backlog(bytes: number): Uint8Array;
  /** Listen; returns how to stop. A promise asks for no more until it has resolved, which not every console can grant. */
  onOutput(listener: (bytes: Uint8Array) => void | Promise<void>): () => void;
  write(bytes: Uint8Array): Promise<void>;
  /** The window that it is shown in; absent where a line has no size. */
  resize?(size: TerminalSize): void;
}

/** A command that runs inside a guest. */
export interface InsideCommand {
  /** Resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Its standard input ends. */
  endInput(): void;
  /** The window of its terminal; absent when it has none. */
  resize?: (size: TerminalSize) => void;
  /** Nobody listens any more: end it with what it has started. */
  kill(): void;
  /** What it writes; nothing is lost that was written before. Reading waits for the promise. */
  onOutput(listener: (bytes: Uint8Array, from: 'output' | 'errors') => Promise<void>): void;
  /** Resolves when it has ended and all its output was passed on. */
  readonly ended: Promise<CommandEnd>;
}

export interface ConsoleFacet<G extends Guest = Guest> {
  /** Throws `DEVICE_MISSING` when the guest has no such console. */
  channel(guest: G, device: string | undefined): ConsoleChannel;
}

export interface ScreenshotFacet<G extends Guest = Guest> {
  take(guest: G, screen: number, signal: AbortSignal): Promise<{ mime: string; data: Buffer }>;
}

export interface KeyboardFacet<G extends Guest = Guest> {
  sendKey(
    guest: G,
    keys: readonly (string | number)[],
    how: { codeset: 'linux' | 'qcode'; holdMs: number; signal: AbortSignal },
  ): Promise<void>;
}

export interface AgentFacet<G extends Guest = Guest> {
  execute(
    guest: G,
    command: { execute: string; arguments?: Record<string, unknown> | undefined },
    how: { timeoutMs: number; signal: AbortSignal },
  ): Promise<unknown>;
}

export interface ExecFacet<G extends Guest = Guest> {
  /** Throws `OPERATION_FAILED` when it cannot be run at all. */
  run(
    guest: G,
    command: {
      words: readonly string[];
      env: Readonly<Record<string, string>>;
      uid?: number | undefined;
      gid?: number | undefined;
      /** With a terminal of this size. */
      terminal?: TerminalSize | undefined;
    },
  ): Promise<InsideCommand>;
}
