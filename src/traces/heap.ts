/** A small binary min-heap: entries that become due by time. */
export class Heap<T> {
	private readonly keys: number[] = [];
	private readonly order: number[] = [];
	private readonly items: T[] = [];
	private pushed = 0;

	/** How many entries wait. */
	get size(): number {
		return this.keys.length;
	}

	/** The smallest key, Infinity when empty. */
	get next(): number {
		return this.keys[0] ?? Number.POSITIVE_INFINITY;
	}

	/** Adds an entry; equal keys come out in the order they went in. */
	push(key: number, item: T): void {
		let at = this.keys.length;
		this.keys.push(key);
		this.order.push(this.pushed++);
		this.items.push(item);
		while (at > 0) {
			const up = (at - 1) >> 1;
			if (!this.less(at, up)) break;
			this.swap(at, up);
			at = up;
		}
	}

	/** Takes the entry with the smallest key. */
	pop(): T | undefined {
		const end = this.keys.length - 1;
		if (end < 0) return undefined;
		this.swap(0, end);
		this.keys.pop();
		this.order.pop();
		const item = this.items.pop();
		let at = 0;
		for (;;) {
			let child = at * 2 + 1;
			if (child >= end) break;
			if (child + 1 < end && this.less(child + 1, child)) child++;
			if (!this.less(child, at)) break;
			this.swap(at, child);
			at = child;
		}
		return item;
	}

	private less(a: number, b: number): boolean {
		const left = this.keys[a] as number;
		const right = this.keys[b] as number;
		return (
			left < right ||
			(left === right && (this.order[a] as number) < (this.order[b] as number))
		);
	}

	private swap(a: number, b: number): void {
		swapIn(this.keys, a, b);
		swapIn(this.order, a, b);
		swapIn(this.items, a, b);
	}
}

function swapIn<T>(list: T[], a: number, b: number): void {
	const kept = list[a] as T;
	list[a] = list[b] as T;
	list[b] = kept;
}
