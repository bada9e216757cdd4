import * as nearshore from "nearshore";
import { main } from "../shared/terminal.js";

await main(nearshore);
