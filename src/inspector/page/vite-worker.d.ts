/** What Vite makes of a worker import: its constructor, the code inlined. */
declare module "*?worker&inline" {
	const LogWorker: new () => Worker;
	export default LogWorker;
}
declare module "*.css";
