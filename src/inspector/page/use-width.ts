/** The width of an element, followed while the window changes. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";

/** A reference to give to the element, and its width in whole pixels. */
export function useWidth(
	atFirst: number,
): [{ current: HTMLDivElement | null }, number] {
	const place = useRef<HTMLDivElement | null>(null);
	const [width, setWidth] = useState(atFirst);
	useLayoutEffect(() => {
		const element = place.current;
		if (element === null) return;
		const take = (pixels: number): void =>
			setWidth(Math.max(1, Math.floor(pixels)));
		take(element.clientWidth);
		const watcher = new ResizeObserver(([entry]) =>
			take(entry?.contentRect.width ?? atFirst),
		);
		watcher.observe(element);
		return () => watcher.disconnect();
	}, []);
	return [place, width];
}
