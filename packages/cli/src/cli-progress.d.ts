/** The part of cli-progress 3.12.0 that is used; the package has no types of its own. */
declare module "cli-progress" {
  export interface BarOptions {
    readonly stream: NodeJS.WriteStream;
    readonly format: string;
    readonly hideCursor?: boolean;
    readonly clearOnComplete?: boolean;
    readonly fps?: number;
  }
  export class SingleBar {
    constructor(options: BarOptions);
    start(total: number, value: number, payload: object): void;
    update(value: number, payload: object): void;
    setTotal(total: number): void;
    stop(): void;
  }
}
