import * as nearshore from "nearshore";
import { report } from "../shared/page.js";

report(nearshore);
