/**
 * A disk that behaves as badly as a real one may: what was not synced is, after a crash, there or not, sector by sector, and files
 * and names likewise; and any operation can be made to fail. Everything random comes from one seed.
 */
import { basename, dirname } from "node:path";
import type { LogFile, LogIo } from "../../src/log/io.ts";
import { randomOf } from "../inspector/generate.ts";

const SECTOR = 512;

interface Inode {
	/** What a reader sees now, and what the medium surely holds. */
	now: Buffer;
	durable: Buffer;
}

/** Called before each operation with its name and path; may throw to make it fail. */
export type Fault = (operation: string, path: string) => void;

/** An error as Node gives it. */
export function systemError(code: string): NodeJS.ErrnoException {
	return Object.assign(new Error(`${code}: injected`), { code });
}

/** The disk. `fault` can be changed at any time. */
export class SimDisk implements LogIo {
	fault: Fault = () => {};
	/** Bytes that fit; writes beyond fail with ENOSPC after filling it. */
	capacity = Number.POSITIVE_INFINITY;
	readonly #names = new Map<string, Inode>();
	readonly #durableNames = new Map<string, Inode>();
	readonly #directories = new Set<string>();

	async realPath(path: string): Promise<string> {
		return path;
	}
	async open(path: string, how: "read" | "write" | "create"): Promise<LogFile> {
		this.#check(`open-${how}`, path);
		let inode = this.#names.get(path);
		if (how === "create") {
			if (inode !== undefined) throw systemError("EEXIST");
			inode = { now: Buffer.alloc(0), durable: Buffer.alloc(0) };
			this.#names.set(path, inode);
		}
		if (inode === undefined) throw systemError("ENOENT");
		return this.#file(path, inode);
	}

	#file(path: string, inode: Inode): LogFile {
		const check = (operation: string): void => this.#check(operation, path);
		const room = (): number => this.capacity - this.#used();
		return {
			async read(into, position) {
				check("read");
				return inode.now.copy(into, 0, position);
			},
			async write(bytes, position) {
				const free = room() + Math.max(inode.now.length - position, 0);
				const part = bytes.subarray(
					0,
					Math.max(0, Math.min(bytes.length, free)),
				);
				const size = Math.max(inode.now.length, position + part.length);
				const next = Buffer.alloc(size);
				inode.now.copy(next);
				next.set(part, position);
				// A failing write may have written something: the fault comes with the bytes half there.
				try {
					check("write");
				} catch (error) {
					next.fill(0, position + (part.length >> 1));
					inode.now = next.subarray(0, position + (part.length >> 1));
					throw error;
				}
				inode.now = next;
				if (part.length < bytes.length) throw systemError("ENOSPC");
			},
			async datasync() {
				check("datasync");
				inode.durable = Buffer.from(inode.now);
			},
			async truncate(size) {
				check("truncate");
				inode.now = Buffer.from(inode.now.subarray(0, size));
			},
			async size() {
				return inode.now.length;
			},
			async close() {},
		};
	}

	#used(): number {
		let bytes = 0;
		for (const { now } of this.#names.values()) bytes += now.length;
		return bytes;
	}

	#check(operation: string, path: string): void {
		this.fault(operation, path);
	}

	async list(path: string): Promise<readonly string[]> {
		this.#check("list", path);
		return [...this.#names.keys()]
			.filter((name) => dirname(name) === path)
			.map((name) => basename(name));
	}
	async isDirectory(path: string): Promise<boolean> {
		return this.#directories.has(path);
	}
	async makeDirectory(path: string): Promise<void> {
		this.#check("mkdir", path);
		this.#directories.add(path);
	}
	async syncDirectory(path: string): Promise<void> {
		this.#check("syncdir", path);
		for (const name of new Set([
			...this.#names.keys(),
			...this.#durableNames.keys(),
		])) {
			if (dirname(name) !== path) continue;
			const inode = this.#names.get(name);
			if (inode === undefined) this.#durableNames.delete(name);
			else this.#durableNames.set(name, inode);
		}
	}
	async createWhole(path: string, bytes: Uint8Array): Promise<void> {
		this.#check("create-whole", path);
		if (this.#names.has(path)) throw systemError("EEXIST");
		this.#names.set(path, {
			now: Buffer.from(bytes),
			durable: Buffer.alloc(0),
		});
	}
	async rename(from: string, to: string): Promise<void> {
		this.#check("rename", from);
		const inode = this.#names.get(from);
		if (inode === undefined) throw systemError("ENOENT");
		this.#names.delete(from);
		this.#names.set(to, inode);
	}
	async remove(path: string): Promise<void> {
		this.#check("remove", path);
		this.#names.delete(path);
	}
	async readAll(path: string): Promise<Buffer> {
		const inode = this.#names.get(path);
		if (inode === undefined) throw systemError("ENOENT");
		return Buffer.from(inode.now);
	}

	/** The disk after a power cut: unsynced sectors, sizes and names are each kept or lost. Locks are gone: no process is left. */
	afterCrash(seed: number): SimDisk {
		const random = randomOf(seed);
		const disk = new SimDisk();
		for (const directory of this.#directories) disk.#directories.add(directory);
		for (const name of new Set([
			...this.#names.keys(),
			...this.#durableNames.keys(),
		])) {
			const now = this.#names.get(name);
			const durable = this.#durableNames.get(name);
			const inode = now === durable || random(2) === 0 ? durable : now;
			if (inode === undefined || /lock/.test(name)) continue;
			const bytes = survivors(inode, random);
			disk.#names.set(name, { now: bytes, durable: bytes });
			disk.#durableNames.set(name, disk.#names.get(name) as Inode);
		}
		return disk;
	}

	/** A copy with one file's bytes replaced: for damage by hand. */
	with(path: string, bytes: Buffer): SimDisk {
		const disk = new SimDisk();
		for (const [name, { now }] of this.#names)
			if (!/lock/.test(name))
				disk.#names.set(name, {
					now: Buffer.from(now),
					durable: Buffer.from(now),
				});
		disk.#names.set(path, { now: bytes, durable: bytes });
		return disk;
	}
}

/** Each sector that changed since the last sync is there or holds what it held before (zeros where there was nothing). */
function survivors(
	{ now, durable }: Inode,
	random: (below: number) => number,
): Buffer {
	const sizes = [
		durable.length,
		now.length,
		Math.min(durable.length, now.length) +
			random(Math.abs(now.length - durable.length) + 1),
	];
	const bytes = Buffer.alloc(sizes[random(3)] ?? 0);
	durable.copy(bytes);
	for (let at = 0; at < bytes.length; at += SECTOR)
		if (random(2) === 0)
			now.copy(bytes, at, at, Math.min(at + SECTOR, bytes.length));
	return bytes;
}
