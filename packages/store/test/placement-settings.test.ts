import { expect, test } from "vitest";
import { placementSettings } from "../src/placement/cluster-view.ts";
import type { MetaState } from "../src/placement/meta-state.ts";
import { defaultStoreSettings } from "../src/store-settings.ts";

const meta = { settings: new Map() } as unknown as MetaState;

test("a store gets replicas while it has twice the room below which it takes no writes, be its disk small or large", () => {
  for (const diskFreeBytesMin of [512 * 1024, defaultStoreSettings.diskFreeBytesMin, 0])
    expect(placementSettings({ ...defaultStoreSettings, diskFreeBytesMin }, meta).storeFreeBytesMin).toBe(
      2 * diskFreeBytesMin,
    );
});
