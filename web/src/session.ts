import { type Access, ApiError, api, type SessionAnswer } from "./api";
import { nowMs } from "./clock";

const SHORTEST_MS = 10_000;

export interface User {
  username: string;
  role: string;
}

/**
 * Who is logged in, and this tab's log-in to the broker. The HTTP session lives in a cookie that
 * scripts cannot read; the broker's password lives in memory and nowhere else.
 */
export class Session {
  user: User | undefined;
  #access: Access | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  /** `ended` is called when the server says that the session is over. */
  constructor(private readonly ended: () => void) {}

  /** Raises ApiError with the server's reason. */
  async logIn(username: string, password: string): Promise<void> {
    this.#take(await api.logIn(username, password));
  }

  /** Go on with the session of the cookie; false when there is none. Raises ApiError when nobody answers. */
  async resume(): Promise<boolean> {
    try {
      this.#take(await api.resume());
      return true;
    } catch (error) {
      if (isRefused(error)) return false;
      throw error;
    }
  }

  /** The log-in to the broker, a new one when the last was refused or is over; undefined when logged out. */
  async access(refused: boolean): Promise<Access | undefined> {
    const left = this.#access ? Date.parse(this.#access.expires_at) - nowMs() : 0;
    if (!refused && left > 0) return this.#access;
    if (await this.resume()) return this.#access;
    this.#end();
    return undefined;
  }

  async logOut(): Promise<void> {
    clearTimeout(this.#renewal);
    try {
      await api.logOut();
    } catch {
      // A server that does not answer forgets the session when it expires.
    }
    this.#end();
  }

  #take(answer: SessionAnswer): void {
    this.user = { username: answer.username, role: answer.role };
    this.#access = answer.mqtt;
    this.#renewAtHalfLife(answer.mqtt);
  }

  #renewAtHalfLife(access: Access): void {
    clearTimeout(this.#renewal);
    const halfLife = (Date.parse(access.expires_at) - nowMs()) / 2;
    this.#renewal = setTimeout(() => void this.#renew(access), Math.max(SHORTEST_MS, halfLife));
  }

  async #renew(access: Access): Promise<void> {
    try {
      const { expires_at } = await api.renew(access.username);
      this.#access = { ...access, expires_at };
      this.#renewAtHalfLife(this.#access);
    } catch (error) {
      if (isRefused(error)) this.#end();
      // Otherwise half of what is left is tried next; when all is over, the broker refuses and a new log-in is asked for.
      else if (Date.parse(access.expires_at) > nowMs()) this.#renewAtHalfLife(access);
    }
  }

  #end(): void {
    clearTimeout(this.#renewal);
    this.#access = undefined;
    this.user = undefined;
    this.ended();
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}
