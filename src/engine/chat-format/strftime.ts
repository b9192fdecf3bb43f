/** The date formats that chat templates use, in English whatever the locale. Local time, as Python's `datetime.now()`. */
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

export function formatTime(wallMs: number, format: string): string {
  const date = new Date(wallMs)
  return format.replace(/%[YmdbBHMSyjaA%]/g, (code) => formatCode(date, code))
}

function formatCode(date: Date, code: string): string {
  switch (code) {
    case '%Y':
      return String(date.getFullYear())
    case '%y':
      return twoDigits(date.getFullYear() % 100)
    case '%m':
      return twoDigits(date.getMonth() + 1)
    case '%d':
      return twoDigits(date.getDate())
    case '%B':
      return MONTHS[date.getMonth()]!
    case '%b':
      return MONTHS[date.getMonth()]!.slice(0, 3)
    case '%A':
      return DAYS[date.getDay()]!
    case '%a':
      return DAYS[date.getDay()]!.slice(0, 3)
    case '%H':
      return twoDigits(date.getHours())
    case '%M':
      return twoDigits(date.getMinutes())
    case '%S':
      return twoDigits(date.getSeconds())
    case '%%':
      return '%'
    default:
      return code
  }
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}
