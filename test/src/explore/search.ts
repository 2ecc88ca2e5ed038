/**
 * Exhaustive search: every state that a model can reach, each once, breadth first, so that what goes wrong is told by a
 * shortest way there.
 *
 * Looked for: a state that is wrong in itself, and one from which no way leads to an end without another fault ("it always
 * ends" for whoever is given time and luck).
 */
export interface Move<S> {
  label: string;
  to: S;
  /** Something that need not happen: a crash, a loss, a delay. */
  fault: boolean;
}

export interface Model<S> {
  initial: S;
  key(state: S): string;
  moves(state: S): Iterable<Move<S>>;
  /** What must never be, in words. */
  wrong(state: S): string | undefined;
  ended(state: S): boolean;
}

export interface Found {
  states: number;
  moves: number;
  ended: number;
  /** The search was cut short: more states than were allowed. */
  cut: boolean;
  trouble?: { what: string; way: string[] };
}

export function explore<S>(model: Model<S>, maxStates = Infinity): Found {
  const ids = new Map<string, number>([[model.key(model.initial), 0]]);
  const queue: (S | undefined)[] = [model.initial];
  const parents: number[] = [-1];
  const labels: string[] = ['begin'];
  const ends: number[] = [];
  /** Pairs from, to: moves that are no faults. */
  const free: number[] = [];
  let moves = 0;
  const way = (id: number): string[] => {
    const steps: string[] = [];
    for (let at = id; at > 0; at = parents[at]!) steps.push(labels[at]!);
    return steps.reverse();
  };
  const found = (what?: string, at = 0): Found => ({
    states: ids.size,
    moves,
    ended: ends.length,
    cut: ids.size >= maxStates,
    ...(what !== undefined && { trouble: { what, way: way(at) } }),
  });
  for (let id = 0; id < queue.length; id++) {
    const state = queue[id]!;
    queue[id] = undefined;
    const wrong = model.wrong(state);
    if (wrong !== undefined) return found(wrong, id);
    if (model.ended(state)) ends.push(id);
    if (ids.size >= maxStates) return found();
    for (const { label, to, fault } of model.moves(state)) {
      moves++;
      const key = model.key(to);
      let there = ids.get(key);
      if (there === undefined) {
        there = queue.length;
        ids.set(key, there);
        queue.push(to);
        parents.push(id);
        labels.push(label);
      }
      if (!fault && there !== id) free.push(id, there);
    }
  }
  const stuck = firstThatNeverEnds(queue.length, ends, free);
  return stuck === undefined ? found() : found('no way leads to an end', stuck);
}

/** Backwards from the ends, over moves that are no faults. */
function firstThatNeverEnds(states: number, ends: readonly number[], free: readonly number[]): number | undefined {
  const start = new Uint32Array(states + 1);
  for (let i = 1; i < free.length; i += 2) start[free[i]! + 1]!++;
  for (let id = 0; id < states; id++) start[id + 1]! += start[id]!;
  const before = new Uint32Array(free.length / 2);
  const fill = start.slice();
  for (let i = 0; i < free.length; i += 2) before[fill[free[i + 1]!]!++] = free[i]!;
  const reaches = new Uint8Array(states);
  const stack = [...ends];
  for (const id of ends) reaches[id] = 1;
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    for (let i = start[id]!; i < start[id + 1]!; i++) {
      const from = before[i]!;
      if (reaches[from]) continue;
      reaches[from] = 1;
      stack.push(from);
    }
  }
  const stuck = reaches.indexOf(0);
  return stuck === -1 ? undefined : stuck;
}
