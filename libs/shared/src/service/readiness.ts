/** Whether this process can do its work now, and why not: asked by whoever routes to it or watches over it. */
export interface ReadinessReport {
  ready: boolean;
  /** What is in the way; none when it is ready. */
  reasons: string[];
  /** What was looked at, each `ok` or what is wrong with it. */
  checks: Record<string, string>;
}

export class Readiness {
  private readonly checks = new Map<string, () => string | undefined>();

  /** @param trouble what is wrong, in words for an operator; undefined when nothing is. Must answer at once. */
  needs(name: string, trouble: () => string | undefined): void {
    this.checks.set(name, trouble);
  }

  report(): ReadinessReport {
    const found = [...this.checks].map(([name, trouble]) => [name, trouble()] as const);
    const reasons = found.flatMap(([name, trouble]) => (trouble === undefined ? [] : `${name}: ${trouble}`));
    return {
      ready: reasons.length === 0,
      reasons,
      checks: Object.fromEntries(found.map(([name, trouble]) => [name, trouble ?? 'ok'])),
    };
  }
}
