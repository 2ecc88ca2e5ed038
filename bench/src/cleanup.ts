/** What a run must undo, last thing first, on every way out: the end, a failure, Ctrl-C. */

export class CleanUp {
  private readonly steps: { what: string; undo: () => unknown }[] = [];
  private running: Promise<void> | undefined;

  /** @param what names the step in the message when it fails */
  add(what: string, undo: () => unknown): void {
    this.steps.push({ what, undo });
  }

  /** Runs every step, also after one that failed. A second call waits for the first. */
  run(): Promise<void> {
    this.running ??= this.runAll();
    return this.running;
  }

  private async runAll(): Promise<void> {
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        console.error(`cannot clean up ${step.what}: ${(error as Error).message}`);
      }
    }
  }
}
