/**
 * A persistent ordered map (AVL tree): every update shares all but O(log n) nodes with the value it came from, so old
 * states stay valid and a rollback is a reference. The kernel keeps areas in an interval tree
 * (drivers/iommu/iommufd/io_pagetable.c); since areas never overlap, order by start says the same.
 */

interface Node<K, V> {
	readonly key: K;
	readonly value: V;
	readonly left: Node<K, V> | undefined;
	readonly right: Node<K, V> | undefined;
	readonly height: number;
	readonly size: number;
}

/** Keys are 64-bit byte addresses (bigint) or small counts (number); one tree holds one kind. */
export type TreeKey = bigint | number;
/** An immutable ordered map; `undefined` is the empty one. */
export type Tree<K extends TreeKey, V> = Node<K, V> | undefined;

const heightOf = (node: Tree<TreeKey, unknown>): number => node?.height ?? 0;

/** How many entries the tree has. */
export const treeSize = (tree: Tree<TreeKey, unknown>): number =>
	tree?.size ?? 0;

function join<K extends TreeKey, V>(
	left: Tree<K, V>,
	key: K,
	value: V,
	right: Tree<K, V>,
): Node<K, V> {
	const height = 1 + Math.max(heightOf(left), heightOf(right));
	return {
		key,
		value,
		left,
		right,
		height,
		size: 1 + treeSize(left) + treeSize(right),
	};
}

function balance<K extends TreeKey, V>(
	left: Tree<K, V>,
	key: K,
	value: V,
	right: Tree<K, V>,
): Node<K, V> {
	const skew = heightOf(left) - heightOf(right);
	if (skew > 1 && left !== undefined) {
		const inner = left.right;
		if (heightOf(left.left) >= heightOf(inner) || inner === undefined)
			return join(
				left.left,
				left.key,
				left.value,
				join(inner, key, value, right),
			);
		return join(
			join(left.left, left.key, left.value, inner.left),
			inner.key,
			inner.value,
			join(inner.right, key, value, right),
		);
	}
	if (skew < -1 && right !== undefined) {
		const inner = right.left;
		if (heightOf(right.right) >= heightOf(inner) || inner === undefined)
			return join(
				join(left, key, value, inner),
				right.key,
				right.value,
				right.right,
			);
		return join(
			join(left, key, value, inner.left),
			inner.key,
			inner.value,
			join(inner.right, right.key, right.value, right.right),
		);
	}
	return join(left, key, value, right);
}

/** The tree with `key` set to `value`. */
export function treeSet<K extends TreeKey, V>(
	tree: Tree<K, V>,
	key: K,
	value: V,
): Node<K, V> {
	if (tree === undefined) return join(undefined, key, value, undefined);
	if (key === tree.key) return join(tree.left, key, value, tree.right);
	return key < tree.key
		? balance(treeSet(tree.left, key, value), tree.key, tree.value, tree.right)
		: balance(tree.left, tree.key, tree.value, treeSet(tree.right, key, value));
}

/** The tree without `key`; the same tree when it is not there. */
export function treeDelete<K extends TreeKey, V>(
	tree: Tree<K, V>,
	key: K,
): Tree<K, V> {
	if (tree === undefined) return undefined;
	if (key < tree.key) {
		const left = treeDelete(tree.left, key);
		return left === tree.left
			? tree
			: balance(left, tree.key, tree.value, tree.right);
	}
	if (key > tree.key) {
		const right = treeDelete(tree.right, key);
		return right === tree.right
			? tree
			: balance(tree.left, tree.key, tree.value, right);
	}
	if (tree.left === undefined) return tree.right;
	if (tree.right === undefined) return tree.left;
	let next = tree.right;
	while (next.left !== undefined) next = next.left;
	return balance(
		tree.left,
		next.key,
		next.value,
		treeDelete(tree.right, next.key),
	);
}

/** The value at exactly `key`. */
export function treeGet<K extends TreeKey, V>(
	tree: Tree<K, V>,
	key: K,
): V | undefined {
	let node = tree;
	while (node !== undefined && node.key !== key)
		node = key < node.key ? node.left : node.right;
	return node?.value;
}

/** The value at the greatest key ≤ `key`. */
export function treeFloor<K extends TreeKey, V>(
	tree: Tree<K, V>,
	key: K,
): V | undefined {
	let best: Node<K, V> | undefined;
	let node = tree;
	while (node !== undefined)
		if (node.key <= key) {
			best = node;
			node = node.right;
		} else node = node.left;
	return best?.value;
}

/** The value at the smallest key ≥ `key`. */
export function treeCeil<K extends TreeKey, V>(
	tree: Tree<K, V>,
	key: K,
): V | undefined {
	let best: Node<K, V> | undefined;
	let node = tree;
	while (node !== undefined)
		if (node.key >= key) {
			best = node;
			node = node.left;
		} else node = node.right;
	return best?.value;
}

/** All values in key order. */
export function* treeValues<K extends TreeKey, V>(
	tree: Tree<K, V>,
): Generator<V> {
	const stack: Node<K, V>[] = [];
	let node = tree;
	while (node !== undefined || stack.length > 0) {
		while (node !== undefined) {
			stack.push(node);
			node = node.left;
		}
		const top = stack.pop() as Node<K, V>;
		yield top.value;
		node = top.right;
	}
}
